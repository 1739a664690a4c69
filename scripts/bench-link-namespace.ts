/**
 * A network of the benchmark's own, where this machine allows it. On a loopback link a sender's kernel takes four megabytes
 * before it lets anybody feel that the link is slow; a drone's has a few tens of kilobytes. And there the coming and going
 * of a modem can be shown to whoever watches the network.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'

const mark = 'LOGBOX_BENCH_NAMESPACE'
/** As a drone's kernel has them: least, first and most, in bytes. */
const buffers = '4096 16384 65536'
const setUp = [
  'ip link set lo up',
  `echo "${buffers}" > /proc/sys/net/ipv4/tcp_wmem`,
  `echo "${buffers}" > /proc/sys/net/ipv4/tcp_rmem`,
].join(' && ')
const unshare = ['--user', '--map-root-user', '--net', 'sh', '-c']

export const isInNamespace = process.env[mark] === 'yes'

/** Runs this very program again in a network of its own and gives its status; undefined where that is not allowed. */
export async function runInNamespace(): Promise<number | undefined> {
  const trial = spawnSync('unshare', [...unshare, setUp], { stdio: 'ignore' })
  if (trial.status !== 0) return undefined
  const again = `${setUp} && exec "$@"`
  const args = [...unshare, again, 'sh', process.execPath, ...process.argv.slice(1)]
  const child = spawn('unshare', args, { stdio: 'inherit', env: { ...process.env, [mark]: 'yes' } })
  const [status] = (await once(child, 'exit')) as [number | null]
  return status ?? 70
}

/** An address goes with the modem and comes with it. */
export function showModem(isThere: boolean): void {
  if (!isInNamespace) return
  spawn('ip', ['address', isThere ? 'add' : 'del', '192.0.2.7/32', 'dev', 'lo'], { stdio: 'ignore' })
}
