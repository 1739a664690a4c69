import { Seeded } from './seeded.ts'

/** Text of so many bytes that Zstandard makes hardly anything shorter of. */
export function noise(bytes: number, chance: Seeded = new Seeded(1)): string {
  return Array.from({ length: bytes }, () => String.fromCharCode(32 + chance.below(94))).join('')
}
