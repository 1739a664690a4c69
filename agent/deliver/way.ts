import type { ProxyEnv } from 'node:http'

/** Whom to believe, who this is, and which way to go. */
export interface Way {
  readonly trust?: Trust
  /** HTTPS_PROXY, HTTP_PROXY and NO_PROXY, as Node reads them. */
  readonly proxy?: ProxyEnv
}

/** All PEM. */
export interface Trust {
  /** Instead of the system's roots and those that Node brings. */
  readonly authorities?: string
  /** For whoever ends TLS in front of the server and asks for one. */
  readonly client?: { readonly certificate: string; readonly key: string }
}
