import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { firstOf } from '../../agent/deliver/first-of.ts'

test('the first that fails ends the others, too, and nobody listens any more', async () => {
  const stopping = new AbortController()
  let hasEnded = false
  const waiting = (over: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      over.addEventListener('abort', () => {
        hasEnded = true
        resolve()
      })
    })
  const failing = firstOf([waiting, () => Promise.reject(new Error('it fails'))], stopping.signal)
  await expect(failing).rejects.toThrow('it fails')
  expect(hasEnded).toBe(true)
  expect(getEventListeners(stopping.signal, 'abort')).toHaveLength(0)
})
