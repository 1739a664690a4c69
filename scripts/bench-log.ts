import { createWriteStream } from 'node:fs'
import { once } from 'node:events'

/** A small generator with a known seed, so that every run measures the same bytes. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    // Numerical Recipes' linear congruential generator: its quality is enough for log lines.
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

const modules = [
  'commander',
  'ekf2',
  'mavlink',
  'navigator',
  'sensors',
  'battery_status',
  'logger',
  'vehicle_gps',
]

/** Lines as a companion computer writes them: a few shapes, many numbers. */
function* logLines(chance: () => number, startMs = Date.UTC(2026, 4, 17, 8, 30)): Generator<string> {
  let nowMs = startMs
  let [latitude, longitude, altitude, voltage] = [47.397742, 8.545594, 488.2, 25.1]
  for (;;) {
    nowMs += Math.floor(chance() * 40)
    latitude += (chance() - 0.5) * 1e-5
    longitude += (chance() - 0.5) * 1e-5
    altitude += (chance() - 0.48) * 0.3
    voltage -= chance() * 2e-6
    const module = modules[Math.floor(chance() * modules.length)] ?? 'logger'
    yield `${new Date(nowMs).toISOString()} [${module}] ${message(chance, { latitude, longitude, altitude, voltage })}\n`
  }
}

interface Position {
  readonly latitude: number
  readonly longitude: number
  readonly altitude: number
  readonly voltage: number
}

const digits = (value: number, places: number): string => value.toFixed(places)

function message(chance: () => number, { latitude, longitude, altitude, voltage }: Position): string {
  const shape = Math.floor(chance() * 6)
  if (shape === 0)
    return `INFO global position lat=${digits(latitude, 7)} lon=${digits(longitude, 7)} alt=${digits(altitude, 2)}`
  if (shape === 1)
    return `INFO battery voltage=${digits(voltage, 2)} V current=${digits(8 + chance() * 30, 1)} A`
  if (shape === 2)
    return `DEBUG innovation vel=(${digits(chance(), 4)}, ${digits(chance(), 4)}) pos ratio=${digits(chance(), 3)}`
  if (shape === 3)
    return `WARN high accelerometer bias, imu ${Math.floor(chance() * 3)}, test ratio ${digits(chance() * 3, 2)}`
  if (shape === 4)
    return `INFO gps fix 3D satellites=${10 + Math.floor(chance() * 9)} hdop=${digits(0.5 + chance() / 2, 2)}`
  return `DEBUG link rx=${Math.floor(chance() * 1e6)} tx=${Math.floor(chance() * 1e5)} loss=${digits(chance() * 2, 1)}%`
}

/** Writes at least `bytes` of log lines and returns how many it wrote. */
export async function writeLog(path: string, bytes: number, seed: number): Promise<number> {
  const file = createWriteStream(path)
  const lines = logLines(seeded(seed))
  let written = 0
  while (written < bytes) {
    let block = ''
    while (block.length < 1024 * 1024) block += lines.next().value ?? ''
    written += block.length
    if (!file.write(block)) await once(file, 'drain')
  }
  file.end()
  await once(file, 'finish')
  return written
}
