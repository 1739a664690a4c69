import { test } from 'vitest'
import { Sortie } from '../kit/sortie.ts'

// LB-010
test('a file that is renamed while its writer keeps it open stays one generation', async () => {
  await using sortie = await Sortie.start()
  await sortie.agent.start()
  await sortie.append('app.log', 'before\n')
  await sortie.land()
  await sortie.rename('app.log', 'app.log.1')
  await sortie.append('app.log', 'new\n')
  await sortie.append('app.log.1', 'old after\n')
  await sortie.agent.kill()
  await sortie.agent.start()
  await sortie.land()
  await sortie.expectGenerations([
    { path: 'app.log', bytes: 'before\nold after\n' },
    { path: 'app.log', bytes: 'new\n' },
  ])
  await sortie.agent.stop()
})
