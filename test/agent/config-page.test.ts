import { expect, test } from 'vitest'
import { configPage } from './config-page.ts'

test('docs/configuration.md is what the schema says', async () => {
  await expect(configPage()).toMatchFileSnapshot('../../docs/configuration.md')
})
