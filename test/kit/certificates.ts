import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Certificate {
  readonly certificate: string
  readonly key: string
}

/** An authority for one test, with the openssl command line: nothing that it signs outlives the test's folder. */
export class Authority {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
    const files = ['-keyout', this.#file('ca.key'), '-out', this.#file('ca.pem')]
    openssl('req', '-x509', ...newKey, ...files, '-days', '1', '-subj', '/CN=Test Authority')
  }

  get file(): string {
    return this.#file('ca.pem')
  }

  get certificate(): string {
    return readFileSync(this.file, 'utf8')
  }

  /** For a server at this name or address, or for a client. */
  issue(name: string): Certificate {
    const [key, request, certificate] = [`${name}.key`, `${name}.csr`, `${name}.pem`].map((file) =>
      this.#file(file),
    )
    const alternative = /^[\d.]+$/.test(name) ? `IP:${name}` : `DNS:${name}`
    const extensions = this.#file('extensions')
    writeFileSync(extensions, `subjectAltName=${alternative}\n`)
    openssl('req', ...newKey, '-keyout', key ?? '', '-out', request ?? '', '-subj', `/CN=${name}`)
    const signer = ['-CA', this.file, '-CAkey', this.#file('ca.key'), '-CAcreateserial']
    const files = ['-in', request ?? '', '-out', certificate ?? '', '-extfile', extensions]
    openssl('x509', '-req', ...files, ...signer, '-days', '1')
    return { certificate: readFileSync(certificate ?? '', 'utf8'), key: readFileSync(key ?? '', 'utf8') }
  }

  #file(name: string): string {
    return join(this.#folder, name)
  }
}

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'] as const

function openssl(...args: readonly string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] })
}
