import { readFile, writeFile } from 'node:fs/promises'
import { vectorFiles } from '../test/vectors/files.ts'
import { withWorkedExample } from '../test/vectors/worked-example.ts'

const folder = new URL('../test/vectors/', import.meta.url)
await Promise.all([...vectorFiles].map(([name, text]) => writeFile(new URL(name, folder), text)))
const document = new URL('../docs/wire-format.md', import.meta.url)
await writeFile(document, withWorkedExample(await readFile(document, 'utf8')))
console.log(`wrote ${[...vectorFiles.keys()].join(', ')} and the worked example of docs/wire-format.md`)
