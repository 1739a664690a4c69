import type { ChainHead } from '../../protocol/chain.ts'
import { newChain, placeAfter } from '../../protocol/chain.ts'
import type { StreamLabel } from '../../protocol/chunk.ts'
import { sha256, type ByteOffset, type DeviceId, type Epoch, type StreamId } from '../../protocol/ids.ts'
import type { CloseManifest, DataManifest, LossManifest, RecordTime } from '../../protocol/manifest.ts'
import { bytesOf } from './raw.ts'
import { hexa } from './keys.ts'

/** 2026-11-21T22:00:00Z in seconds, shifted by 20 bits, and 20 bits that were random once. */
export const epoch = (1_795_298_400 * 2 ** 20 + 0x5eed5) as Epoch
export const offsetOf = (offset: number): ByteOffset => offset as ByteOffset

export const time: RecordTime = {
  wallMs: 1_795_298_400_123,
  monotonicMs: 4_567,
  bootId: bytesOf('b0'.repeat(16)),
  clockState: 'synchronized',
}

export const label: StreamLabel = {
  stream: Buffer.from('c0'.repeat(16), 'hex').toString('base64url') as StreamId,
  path: '/var/log/flight/0007.log',
  tags: new Map([['vehicle', 'hexa-7']]),
}

export const text = Buffer.from('5 ekf2: gps fix 3D, 14 satellites\n')
export const lines = Buffer.from('12.5 INFO  ekf2: yaw aligned, gps fix 3D, 14 satellites\n'.repeat(6))
/** `lines`, compressed by zstd 1.5 at level 1. Kept as bytes, because another version may compress otherwise. */
export const linesFrame = bytesOf(
  '28b52ffd6050000d0200840331322e3520494e464f2020656b66323a2079617720616c69676e65642c20677073206669782033442c203134' +
    '20736174656c6c697465730a010058b1550505',
)

export const firstPlace = (device: DeviceId = hexa): ChainHead => newChain(device, epoch)

/** A data record whose body is its content as it stands. */
export function dataOf(bytes: Uint8Array, changes: Partial<DataManifest> = {}): DataManifest {
  const hash = sha256(bytes)
  const body = { encoding: 'identity', bodyLength: bytes.length, bodySha256: hash } as const
  const content = { offset: offsetOf(0), length: bytes.length, sha256: hash }
  return { kind: 'data', ...placeAfter(firstPlace()), ...label, time, ...content, ...body, ...changes }
}

/** A data record whose body is this frame. */
export function zstdOf(
  bytes: Uint8Array,
  frame: Uint8Array,
  changes: Partial<DataManifest> = {},
): DataManifest {
  const body = { encoding: 'zstd', bodyLength: frame.length, bodySha256: sha256(frame) } as const
  return { ...dataOf(bytes), ...body, ...changes }
}

export function lossOf(changes: Partial<LossManifest> = {}): LossManifest {
  const lost = { offset: offsetOf(34), length: 4096, reason: 'truncated' } as const
  return { kind: 'loss', ...placeAfter(firstPlace()), ...label, time, ...lost, ...changes }
}

export function closeOf(bytes: Uint8Array, changes: Partial<CloseManifest> = {}): CloseManifest {
  const whole = { length: bytes.length, sha256: sha256(bytes) }
  return { kind: 'close', ...placeAfter(firstPlace()), ...label, time, ...whole, ...changes }
}
