import manifest from '../package.json' with { type: 'json' }
import { Capture } from './capture/capture.ts'
import { handleLimit, spareHandles } from './capture/spare-handles.ts'
import type { AgentConfig } from './config.ts'
import { openControl } from './control/control-server.ts'
import { openDelivery } from './deliver/open-delivery.ts'
import { loadSigner } from './key-file.ts'
import { mendHoles } from './queue/mend-holes.ts'
import { Queue } from './queue/queue.ts'
import { reserveBytesOf } from './queue/reserve.ts'
import { TaskGroup } from './task-group.ts'
import { drained, fired } from './wind-down.ts'
import type { World } from './world.ts'

/**
 * The agent, until `stopping` fires: then what was read is queued, delivery gets `shutdownGrace` to empty the queue, and
 * everything closes in the reverse of the order in which it was opened. Throws faults of the table.
 */
export async function runDaemon(config: AgentConfig, world: World, stopping: AbortSignal): Promise<void> {
  const {
    device,
    stateDirectory,
    queue: bounds,
    server,
    sources,
    chunks,
    rescanMs,
    capture: { maxOpenFiles },
  } = config
  const signer = loadSigner(config.keyFile)
  const kept = {
    device,
    stateDirectory,
    ...bounds,
    reserveBytes: reserveBytesOf(bounds.maxBytes),
    isLookComing: true,
  }
  await using queue = await Queue.open(kept, signer, world)
  const onReceiptsLost = (): Promise<void> => capture.beginAgain()
  await using sender = await openDelivery(config, queue, signer, world, onReceiptsLost)
  const { delivery, recall } = sender
  const patience = new AbortController()
  const cut = {
    maxAgeMs: chunks.maxAgeMs,
    /** No record shall be too large for the server, which says what it takes. */
    get maxBytes() {
      return Math.min(chunks.maxBytes, delivery.maxChunkBytes)
    },
    get catchUpBytes() {
      return Math.min(chunks.catchUpBytes, Math.max(this.maxBytes, delivery.catchUpBytes))
    },
  }
  const handles = await handleLimit(world.files)
  const options = {
    sources,
    chunks: cut,
    bufferBytes: chunks.catchUpBytes,
    rescanMs,
    recall,
    get maxOpenFiles() {
      return spareHandles(maxOpenFiles, handles, queue.openSegments)
    },
  }
  const capture = new Capture(options, queue, world, patience.signal)
  const running = { version: manifest.version, server: server.url.href, capture, queue, delivery }
  await using _control = await openControl(config.controlSocket, running, world)
  world.journal.agentStarted(device, queue.head.epoch, queue.ledger.records)

  await using tasks = new TaskGroup()
  tasks.start((signal) => delivery.run(signal))
  const sourceOf = (path: Uint8Array) => capture.sourceOf(path)
  tasks.start((signal) => mendHoles(queue, world.files, sourceOf, AbortSignal.any([stopping, signal])))
  tasks.start(async (signal) => {
    await capture.run(AbortSignal.any([stopping, signal]))
    await drained(queue, world.clock, AbortSignal.any([patience.signal, signal]))
    tasks.stop()
  })
  tasks.start(async (signal) => {
    await fired(AbortSignal.any([stopping, signal]))
    await world.clock.sleep(config.shutdownGraceMs, signal)
    patience.abort()
  })
  await tasks.ended()
  world.journal.agentStopped(queue.ledger.records)
}
