import { expect, test } from 'vitest'
import { LinkModel } from '../../agent/deliver/link-model.ts'

test('the receipt of a large body that lines passed says nothing of what the link carried while the last of them left', () => {
  const model = new LinkModel()
  const low = model.begin(2_000_000, 0)
  let line = model.begin(300, 0)
  for (let second = 0; second < 20; second++) {
    model.left(low, 100_000, second * 1000)
    line = model.begin(300, second * 1000 + 500)
    model.left(line, 300, second * 1000 + 500)
    if (second < 19) model.receipted(line, second * 1000 + 1100)
  }
  model.receipted(low, 20_000)
  const { rate } = model
  model.receipted(line, 20_100)
  expect(model.rate).toBe(rate)
  expect(rate).toBeLessThan(200)
})
