import { createPrivateKey, generateKeyPairSync, verify } from 'node:crypto'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { agree, checkSigner, naclEd25519 } from '../../agent/check-signer.ts'
import { loadSigner, nativeEd25519, type Ed25519 } from '../../agent/key-file.ts'
import { makeKeyFile } from '../../agent/make-key.ts'
import { verifyEd25519 } from '../../protocol/ed25519-policy.ts'
import { hex } from '../../protocol/ids.ts'
import { faultOf } from '../kit/fault-of.ts'

const folder = mkdtempSync(join(tmpdir(), 'logbox-key-'))
afterAll(() => rmSync(folder, { recursive: true }))

let files = 0
const newPath = (): string => join(folder, `${files++}.key`)

function written(text: string | Uint8Array, mode = 0o600): string {
  const path = newPath()
  writeFileSync(path, text)
  chmodSync(path, mode)
  return path
}

const exported = (type: 'ed25519' | 'ed448' | 'x25519'): string =>
  generateKeyPairSync(type as 'ed25519')
    .privateKey.export({ format: 'pem', type: 'pkcs8' })
    .toString()

/** RFC 8032, section 7.1, test 1. */
const rfcSeed = Buffer.from('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'hex')
const rfcKey = createPrivateKey({
  key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), rfcSeed]),
  format: 'der',
  type: 'pkcs8',
})
const rfcPem = rfcKey.export({ format: 'pem', type: 'pkcs8' }).toString()

describe('a new key file', () => {
  test('is private, whatever the umask', () => {
    const path = newPath()
    makeKeyFile(path)
    expect(statSync(path).mode & 0o7777).toBe(0o600)
  })

  test('holds the key whose public half was told', () => {
    const path = newPath()
    const publicKey = makeKeyFile(path)
    const signer = loadSigner(path)
    expect(hex(signer.publicKey.bytes)).toBe(hex(publicKey.bytes))
    const message = Buffer.from('a chunk')
    expect(verifyEd25519(publicKey, message, signer.sign(message))).toBe(true)
  })

  test('is like no other', () => {
    expect(hex(makeKeyFile(newPath()).bytes)).not.toBe(hex(makeKeyFile(newPath()).bytes))
  })

  test('never takes the place of something', () => {
    const path = written('precious')
    symlinkSync(join(folder, 'nowhere'), join(folder, 'link'))
    for (const taken of [path, folder, join(folder, 'link')]) {
      const fault = faultOf(() => makeKeyFile(taken))
      expect([fault.code, fault.kind.exit]).toEqual(['KEY_EXISTS', 77])
      expect(fault.message).toContain(taken)
    }
    expect(readFileSync(path, 'utf8')).toBe('precious')
  })

  test('makes its folders, for nobody else', () => {
    const path = join(folder, 'var', 'lib', 'device.key')
    makeKeyFile(path)
    const modes = [path, dirname(path), join(folder, 'var')].map((made) => statSync(made).mode & 0o777)
    expect(modes).toEqual([0o600, 0o700, 0o700])
  })

  test('needs a place for its folder', () => {
    const fault = faultOf(() => makeKeyFile(join(written('a file'), 'device.key')))
    expect([fault.code, fault.kind.exit]).toEqual(['KEY_UNWRITABLE', 74])
    expect(fault.message).toContain('device.key')
  })

  // Node's own way to make folders never ends there.
  test('ends where no folder can ever be made', () => {
    const fault = faultOf(() => makeKeyFile('/proc/keys-of-ours/device.key'))
    expect([fault.code, fault.kind.exit]).toEqual(['KEY_UNWRITABLE', 74])
  })

  test.skipIf(process.getuid?.() === 0)('needs a folder that one may write to', () => {
    mkdirSync(join(folder, 'closed'), { mode: 0o500 })
    expect(faultOf(() => makeKeyFile(join(folder, 'closed', 'device.key'))).kind.exit).toBe(77)
  })
})

describe('a signer', () => {
  test('signs as RFC 8032 says', () => {
    const signer = loadSigner(written(rfcPem))
    expect(hex(signer.publicKey.bytes)).toBe(
      'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    )
    expect(hex(signer.sign(new Uint8Array(0)))).toBe(
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
    )
  })

  test.each([
    ['as openssl writes it', rfcPem],
    ['with CRLF', rfcPem.replaceAll('\n', '\r\n')],
    ['without the last newline', rfcPem.trimEnd()],
  ])('may come from a file %s', (_, text) => {
    expect(loadSigner(written(text)).publicKey.bytes).toHaveLength(32)
  })

  test.each([0o640, 0o604, 0o660, 0o644, 0o620, 0o666, 0o777, 0o610])(
    'is not made of a file of mode %o',
    (mode) => {
      const path = written(rfcPem, mode)
      const fault = faultOf(() => loadSigner(path))
      expect([fault.code, fault.kind.exit]).toEqual(['KEY_EXPOSED', 77])
      expect(fault.message).toContain(`${path} (mode ${mode.toString(8).padStart(4, '0')})`)
      expect(fault.kind.hint).toContain('chmod 600')
    },
  )

  test.each([0o600, 0o400])('may be made of a file of mode %o', (mode) => {
    expect(loadSigner(written(rfcPem, mode)).publicKey.bytes).toHaveLength(32)
  })

  test('is not made of nothing', () => {
    for (const path of [join(folder, 'none.key'), join(written('x'), 'below')]) {
      const fault = faultOf(() => loadSigner(path))
      expect([fault.code, fault.kind.exit]).toEqual(['KEY_MISSING', 66])
      expect(fault.message).toBe(`no signing key at ${path}`)
      expect(fault.kind.hint).toBe('run "logbox-agent keygen --out FILE"')
    }
  })

  test.skipIf(process.getuid?.() === 0)('is not made of what the user may not read', () => {
    expect(faultOf(() => loadSigner(written(rfcPem, 0o000))).kind.exit).toBe(77)
  })

  const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey
  test.each([
    ['an empty file', ''],
    ['text', 'not a key'],
    ['zeros', new Uint8Array(119)],
    ['the DER', rfcKey.export({ format: 'der', type: 'pkcs8' })],
    ['half a key', rfcPem.slice(0, 80)],
    ['a public key', generateKeyPairSync('ed25519').publicKey.export({ format: 'pem', type: 'spki' })],
    ['an RSA key', rsa.export({ format: 'pem', type: 'pkcs8' })],
    ['an RSA key of another form', rsa.export({ format: 'pem', type: 'pkcs1' })],
    ['an Ed448 key', exported('ed448')],
    ['an X25519 key', exported('x25519')],
    [
      'a key with a pass phrase',
      rfcKey.export({ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'x' }),
    ],
    ['a key and rubbish', `${rfcPem}rubbish`],
    ['rubbish and a key', `rubbish\n${rfcPem}`],
    ['two keys', rfcPem + exported('ed25519')],
    ['a key and very much rubbish', rfcPem + 'x'.repeat(100_000)],
    ['a key with a longer seed', rfcPem.replace('MC4CAQ', 'MC8CAQ')],
  ])('is not made of %s', (_, text) => {
    const path = written(text)
    const fault = faultOf(() => loadSigner(path))
    expect([fault.code, fault.kind.exit]).toEqual(['KEY_INVALID', 78])
    expect(fault.message).toContain(path)
  })

  test('is not made of a folder', () => {
    const path = newPath()
    mkdirSync(path, { mode: 0o700 })
    expect(faultOf(() => loadSigner(path)).code).toBe('KEY_INVALID')
  })

  test('is not made of garbage, and no message tells what stands in the file', () => {
    const secret = rfcPem.split('\n')[1] ?? ''
    const garbage = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.tuple(fc.nat(rfcPem.length - 2), fc.string({ minLength: 1 })).map(([at, text]) => {
        return Buffer.from(rfcPem.slice(0, at) + text + rfcPem.slice(at))
      }),
    )
    const path = written('')
    fc.assert(
      fc.property(garbage, (bytes) => {
        fc.pre(bytes.toString().replaceAll('\r\n', '\n').trimEnd() !== rfcPem.trimEnd())
        writeFileSync(path, bytes)
        const fault = faultOf(() => loadSigner(path))
        expect(fault.code).toBe('KEY_INVALID')
        for (let error: unknown = fault; error instanceof Error; error = error.cause) {
          expect(error.message).not.toContain(secret.slice(-20))
        }
      }),
      { numRuns: 300 },
    )
  })
})

describe('the two libraries', () => {
  test('sign the same, for all keys and messages', () => {
    const seeds = fc.uint8Array({ minLength: 32, maxLength: 32 })
    fc.assert(
      fc.property(seeds, fc.uint8Array({ maxLength: 300 }), (seed, message) => {
        const [native, nacl] = [nativeEd25519(keyOf(seed)), naclEd25519(seed)]
        expect(hex(native.sign(message))).toBe(hex(nacl.sign(message)))
        expect(agree(native, nacl)).toBe(true)
      }),
      { numRuns: 20 },
    )
  })

  const good = nativeEd25519(rfcKey)
  const broken: [string, Partial<Ed25519>][] = [
    ['another public key', { publicKey: new Uint8Array(32) }],
    ['another signature', { sign: () => new Uint8Array(64) }],
  ]
  test.each(broken)('are told apart by %s', (_, fault) => {
    expect(agree(good, { ...good, ...fault })).toBe(false)
    expect(agree({ ...good, ...fault }, good)).toBe(false)
  })

  test('are told apart by a check that refuses', () => {
    expect(agree({ ...good, verify: () => false }, good)).toBe(false)
  })

  test('agree under a good key, and are not asked under none', () => {
    expect(faultOf(() => checkSigner(newPath())).code).toBe('KEY_MISSING')
    checkSigner(written(rfcPem))
  })

  test('have signatures that node:crypto alone accepts', () => {
    const message = Buffer.from('a')
    expect(verify(null, message, rfcKey, naclEd25519(rfcSeed).sign(message))).toBe(true)
  })
})

function keyOf(seed: Uint8Array) {
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed])
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
}
