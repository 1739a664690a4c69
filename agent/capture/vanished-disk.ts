import { logPathToBytes } from '../../protocol/log-path.ts'
import type { FilePlace } from '../queue/resume-point.ts'
import type { Files, Path } from '../world.ts'
import { isGone } from './open-files.ts'
import { folderDevice, folderOf } from './places.ts'

/** Where Linux names the disks that are there, by the numbers of their devices (sysfs). */
const disks = '/sys/dev/block'

/**
 * Whether the disk of a file seems to have been taken out: its folder is of another file system by now, or the kernel knows
 * its device no more. What cannot be read of it then may come back with it.
 */
export async function isDiskGone({ path, device }: FilePlace, files: Files): Promise<boolean> {
  const folder = folderOf(logPathToBytes(path))
  const now = await folderDevice(files, folder).catch(() => undefined)
  return now !== device || !(await isDevicePresent(BigInt(device), files))
}

/**
 * What has no device of its own, as NFS, an overlay or Btrfs, has the major number 0; where sysfs is not mounted, or a sandbox
 * shows none of its devices, nobody can say.
 */
async function isDevicePresent(device: bigint, files: Files): Promise<boolean> {
  const { major, minor } = splitDevice(device)
  if (major === 0n || !(await hasEntries(disks, files))) return true
  return exists(`${disks}/${major}:${minor}`, files)
}

async function hasEntries(folder: Path, files: Files): Promise<boolean> {
  try {
    for await (const _ of files.entries(folder)) return true
    return false
  } catch (cause) {
    return !isGone(cause)
  }
}

/** As glibc's gnu_dev_major and gnu_dev_minor do. */
function splitDevice(device: bigint): { readonly major: bigint; readonly minor: bigint } {
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn)
  const minor = (device & 0xffn) | ((device >> 12n) & ~0xffn)
  return { major, minor }
}

async function exists(path: Path, files: Files): Promise<boolean> {
  return files.facts(path).then(
    () => true,
    (cause: unknown) => !isGone(cause),
  )
}
