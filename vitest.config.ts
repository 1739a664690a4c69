import { defineConfig } from 'vitest/config'

/** nock takes the place of Node's HTTP for good, and the memory of a process is what all that ran in it left. */
const alone = [
  'test/agent/deliver-answers.test.ts',
  'test/agent/deliver-pauses.test.ts',
  'test/agent/deliver-receipt.test.ts',
  'test/protocol/body.test.ts',
  'test/protocol/cbor.test.ts',
  'test/protocol/hostile-bytes.test.ts',
  'test/protocol/read-records.test.ts',
  'test/scenarios/bad-server.test.ts',
  'test/scenarios/days-without-a-link.test.ts',
  'test/scenarios/network-loss-example.test.ts',
  'test/scenarios/one-stream-refused.test.ts',
]

export default defineConfig({
  test: {
    environment: 'node',
    maxWorkers: 2,
    // No promise is about how busy the machine is: whoever takes so long hangs.
    testTimeout: 600_000,
    hookTimeout: 600_000,
    expect: { poll: { timeout: 300_000 } },
    projects: [
      {
        extends: true,
        test: { name: 'alone', include: alone, globalSetup: 'test/kit/build-programs.ts' },
      },
      {
        extends: true,
        test: {
          name: 'together',
          include: ['test/**/*.test.ts'],
          exclude: alone,
          globalSetup: 'test/kit/build-programs.ts',
          // A process of its own for each file would be a quarter of the CPU of a run.
          isolate: false,
        },
      },
    ],
  },
})
