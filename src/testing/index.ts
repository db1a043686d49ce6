/** `keelson/testing`: what a service's own tests need. */
export { createFaultProxy, type FaultProxy, type FaultProxyOptions } from './fault-proxy.ts'
export { ManualClock } from './manual-clock.ts'
export { postgresForTests, type TestPostgres, type TestPostgresOptions } from './postgres-server.ts'
export { redisForTests, type RedisForTestsOptions, type TestRedis } from './redis-server.ts'
export { seededRandom } from './seeded-random.ts'
export { testService, type TestService, type TestServiceOptions, type TestTokenOptions } from './test-service.ts'
