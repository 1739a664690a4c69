/** Lines that tell where they come from, and so whether one is missing, moved or there twice. */
export function lines(name: string, count: number, first = 0): string {
  return Array.from({ length: count }, (_, index) => `${name} line ${first + index}\n`).join('')
}
