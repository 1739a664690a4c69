import { writeFile } from 'node:fs/promises'
import { vectorFiles } from '../test/vectors/files.ts'

const folder = new URL('../test/vectors/', import.meta.url)
await Promise.all([...vectorFiles].map(([name, text]) => writeFile(new URL(name, folder), text)))
console.log(`wrote ${[...vectorFiles.keys()].join(', ')} to test/vectors/`)
