import { expect, test } from 'vitest'
import { Flight } from '../kit/flight.ts'
import { hasLogrotate, rotationModes, type RotationMode } from '../kit/rotation.ts'
import { flyRotations, rotationSettings, type Rotated } from '../kit/rotation-rounds.ts'

if (!hasLogrotate) console.warn('skipped what needs logrotate: it is not installed')

const rounds = 12

/** Writers of together about 14,000 lines a second, and the real logrotate twelve times for each. */
async function rotate(...modes: readonly RotationMode[]): Promise<readonly Rotated[]> {
  await using flight = await Flight.start({ settings: rotationSettings })
  const linesPerTick = Math.ceil(70 / modes.length)
  const plan = { modes, aside: flight.folder, rounds, pauseMs: 150 / modes.length, linesPerTick }
  return await flyRotations(flight, plan)
}

// LB-022, LB-111
test.skipIf(!hasLogrotate)(
  'rotations by renaming lose no line, and no file ever has a second link, with which logrotate would not rotate it',
  async () => {
    const { create, neverReopened } = rotationModes
    for (const { account, archives, links } of await rotate(create, neverReopened)) {
      expect(archives).toBe(rounds)
      expect(links).toBe(1)
      expect(account).toEqual({
        written: account.written,
        stored: account.written,
        twice: 0,
        lostByLogrotate: 0,
        cutUnseen: 0,
        lostWithRecord: 0,
        lostWithoutRecord: 0,
      })
    }
  },
)

// LB-035
test.skipIf(!hasLogrotate)(
  'of twelve copies and truncations every line that survives on the disk is on the server, or named where it was cut off unread',
  async () => {
    for (const { account, archives } of await rotate(rotationModes.copytruncate)) {
      expect(archives).toBe(rounds)
      expect(account).toMatchObject({ twice: 0, lostWithoutRecord: 0 })
      // How many that are, the load of the machine tells.
      expect(account.stored).toBeGreaterThan(0)
    }
  },
)
