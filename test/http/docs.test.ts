import assert from 'node:assert/strict'
import { test } from 'node:test'
import Fastify, { type FastifyInstance } from 'fastify'
import { z } from 'zod'
import { auth, createVerifier } from '../../src/http/auth/index.ts'
import { deadline } from '../../src/http/deadline/index.ts'
import { docs, type DocsOptions } from '../../src/http/docs/index.ts'
import { errors } from '../../src/http/errors/index.ts'
import { headers } from '../../src/http/headers/index.ts'
import { input } from '../../src/http/input/index.ts'

const User = z.object({ id: z.uuid(), name: z.string().meta({ examples: ['Ada'] }) })
const NewUser = z.strictObject({ name: z.string(), age: z.int().default(0) })
const ById = z.strictObject({ id: z.uuid() })

type Responses = Record<string, { description: string; content?: Record<string, { schema: Record<string, unknown> }> }>

interface Operation {
  readonly operationId?: string
  readonly security?: readonly Record<string, readonly string[]>[]
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required?: boolean }[]
  readonly requestBody?: { readonly content: Record<string, { readonly schema: Record<string, unknown> }> }
  readonly responses: Responses
  readonly 'x-deadline-ms'?: number
}

interface Document {
  readonly openapi: string
  readonly info: Record<string, string>
  readonly servers: readonly { readonly url: string }[]
  readonly paths: Record<string, Record<string, Operation>>
  readonly components: { readonly schemas: Record<string, unknown>; readonly securitySchemes: Record<string, unknown> }
}

function routes(app: FastifyInstance): void {
  const ok = async (): Promise<object> => ({})
  app.get('/plain', { auth: false }, ok)
  app.get('/any', { auth: 'any', deadlineMs: 1_500 }, ok)
  app.get('/users/:id', { auth: { scopes: ['users:read'] }, schema: { params: ById, response: { 200: User } } }, ok)
  app.post('/users', { auth: { scopes: ['users:write'] }, schema: { body: NewUser, response: { 201: User, 409: User } } }, ok)
  app.delete('/users/:id', { auth: 'any', schema: { params: ById } }, ok)
  app.put(
    '/plain',
    {
      auth: false,
      schema: {
        body: { type: 'object', additionalProperties: false, properties: { n: { type: 'integer' } } },
        response: { 200: { type: 'object', properties: { ok: { type: 'boolean' } } } },
      },
    },
    ok,
  )
  app.get(
    '/export',
    {
      auth: false,
      schema: {
        response: {
          200: {
            description: 'Rows',
            content: { 'application/json': { schema: User }, 'text/csv': { schema: { type: 'string' } } },
          },
        },
      },
    },
    ok,
  )
  app.get('/secret', { auth: false, schema: { hide: true } as object }, ok)
  app.get('/files/*', { auth: false }, ok)
  app.get('/files', { auth: false }, ok)
  app.route({ method: ['PUT', 'PATCH'], url: '/both', auth: false, handler: ok })
  app.get('/slash/', { auth: false }, ok)
}

async function appWith(options: Partial<DocsOptions> = {}, withAuth = true): Promise<FastifyInstance & AsyncDisposable> {
  const app = Fastify()
  await app.register(errors)
  await app.register(headers)
  await app.register(deadline)
  await app.register(input)
  const key = { secret: 'a secret of at least thirty-two bytes' }
  const verifier = createVerifier({ issuer: 'i', audience: 'a', key })
  if (withAuth) await app.register(auth, { verifier, demandPolicy: true })
  await app.register(docs, { title: 'users', version: '1.2.3', ...options })
  routes(app)
  await app.register(
    async (scope) => {
      scope.policy?.({ auth: { scopes: ['admin'] } })
      scope.get('/', async () => ({}))
      scope.get('/stats', async () => ({}))
    },
    { prefix: '/admin' },
  )
  app.addHook('onClose', async () => verifier[Symbol.asyncDispose]())
  await app.ready()
  return app
}

async function documentOf(app: FastifyInstance): Promise<Document> {
  return (await app.inject('/openapi.json')).json<Document>()
}

/** The operation called e.g. `GET /users/{id}`. */
function operation({ paths }: Document, name: string): Operation {
  const [method = '', path = ''] = name.split(' ')
  const found = paths[path]?.[method.toLowerCase()]
  assert.ok(found, name)
  return found
}

/** The schema of a body or an answer. */
function schemaOf(
  part: { readonly content?: Responses[string]['content'] } | undefined,
  type = 'application/json',
): Record<string, unknown> {
  const schema = part?.content?.[type]?.schema
  assert.ok(schema, type)
  return schema
}

const PROBLEM = { $ref: '#/components/schemas/Problem' }

test('the document is OpenAPI 3.1 with title, version, description and one relative server', async () => {
  await using app = await appWith({ description: 'Keeps users.' })
  const document = await documentOf(app)
  assert.equal(document.openapi, '3.1.0')
  assert.deepEqual(document.info, { title: 'users', version: '1.2.3', description: 'Keeps users.' })
  assert.deepEqual(document.servers, [{ url: '/' }])
  assert.deepEqual(document.components.securitySchemes['bearer'], { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' })
})

test('Zod and JSON Schema stand side by side, each part in its direction, examples included', async () => {
  await using app = await appWith()
  const document = await documentOf(app)
  const create = operation(document, 'POST /users')
  const body = schemaOf(create.requestBody)
  assert.equal(body['additionalProperties'], false)
  // With a default it may be left out on the way in; on the way out it would always be there.
  assert.deepEqual(body['required'], ['name'])
  const { name } = schemaOf(create.responses['201'])['properties'] as Record<string, unknown>
  assert.deepEqual(name, { type: 'string', examples: ['Ada'] })
  const [id] = operation(document, 'GET /users/{id}').parameters ?? []
  assert.deepEqual([id?.name, id?.in, id?.required], ['id', 'path', true])
  assert.deepEqual(schemaOf(operation(document, 'PUT /plain').requestBody)['properties'], { n: { type: 'integer' } })
  assert.equal(JSON.stringify(document).includes('_zod'), false)
})

test('an answer declared by media type keeps each of them', async () => {
  await using app = await appWith()
  const rows = operation(await documentOf(app), 'GET /export').responses['200']
  assert.equal(rows?.description, 'Rows')
  assert.equal(schemaOf(rows)['type'], 'object')
  assert.deepEqual(schemaOf(rows, 'text/csv'), { type: 'string' })
})

test('security follows from the policy, the one of a scope included', async () => {
  await using app = await appWith()
  const document = await documentOf(app)
  assert.deepEqual(operation(document, 'GET /plain').security, [])
  assert.deepEqual(operation(document, 'GET /any').security, [{ bearer: [] }])
  assert.deepEqual(operation(document, 'GET /users/{id}').security, [{ bearer: ['users:read'] }])
  assert.deepEqual(operation(document, 'GET /admin/stats').security, [{ bearer: ['admin'] }])
})

test('each operation lists the problems that it can answer with', async () => {
  await using app = await appWith()
  const document = await documentOf(app)
  const statuses = (name: string): string[] => Object.keys(operation(document, name).responses).toSorted()
  assert.deepEqual(statuses('GET /plain'), ['2XX', 'default'])
  assert.deepEqual(statuses('GET /any'), ['2XX', '401', 'default'])
  assert.deepEqual(statuses('GET /users/{id}'), ['200', '400', '401', '403', '404', 'default'])
  assert.deepEqual(statuses('POST /users'), ['201', '400', '401', '403', '409', '413', '415', 'default'])
  const { responses } = operation(document, 'POST /users')
  assert.deepEqual(schemaOf(responses['401'], 'application/problem+json'), PROBLEM)
  assert.ok('Problem' in document.components.schemas)
  // What the route itself declares stays as it is.
  assert.equal(schemaOf(responses['409'])['type'], 'object')
  assert.equal(responses['409']?.description, 'Conflict')
})

test('the deadline of a route stands in the document', async () => {
  await using app = await appWith()
  const document = await documentOf(app)
  assert.equal(operation(document, 'GET /any')['x-deadline-ms'], 1_500)
  assert.equal(operation(document, 'GET /plain')['x-deadline-ms'], undefined)
})

test('paths are those that answer: the root of a prefix without its slash, a slash of its own kept, hidden ones left out', async () => {
  await using app = await appWith()
  const { paths } = await documentOf(app)
  const found = Object.keys(paths).toSorted()
  assert.deepEqual(found, [
    '/admin',
    '/admin/stats',
    '/any',
    '/both',
    '/export',
    '/files',
    '/files/{*}',
    '/plain',
    '/slash/',
    '/users',
    '/users/{id}',
  ])
  for (const path of ['/admin', '/slash/']) assert.notEqual((await app.inject(path)).statusCode, 404, path)
})

test('no two operations have the same id', async () => {
  await using app = await appWith()
  const { paths } = await documentOf(app)
  const ids = Object.values(paths).flatMap((path) => Object.values(path).flatMap(({ operationId }) => operationId ?? []))
  assert.deepEqual(ids, [...new Set(ids)])
  assert.equal(paths['/users/{id}']?.['get']?.operationId, 'getUsersById')
  assert.ok(ids.every((id) => /^[a-z][A-Za-z]+$/.test(id)))
})

test('the page and its assets come from the package, under a policy that allows them and no other origin', async () => {
  await using app = await appWith()
  const page = await app.inject({ url: '/docs', headers: { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' } })
  assert.equal(page.statusCode, 200)
  assert.match(String(page.headers['content-type']), /^text\/html/)
  const policy = String(page.headers['content-security-policy'])
  assert.match(policy, /default-src 'self'/)
  assert.match(policy, /frame-ancestors 'none'/)
  assert.doesNotMatch(policy, /https?:|\*|unsafe-eval/)
  const sources = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1]!)
  assert.ok(sources.length >= 4)
  for (const source of sources) {
    const { origin, pathname } = new URL(source, 'http://service/docs')
    assert.equal(origin, 'http://service', source)
    const asset = await app.inject({ url: pathname, headers: { accept: source.endsWith('.png') ? 'image/*' : '*/*' } })
    assert.equal(asset.statusCode, 200, pathname)
    assert.equal(asset.headers['content-security-policy'], policy)
    assert.equal(asset.headers['x-content-type-options'], 'nosniff')
  }
  // No script or handler within the page itself, which its policy would stop.
  assert.doesNotMatch(page.body, /<script>|<script [^>]*>[^<\s]|\son\w+=/)
})

test('only the pages are exempt: other routes keep the policy of an API', async () => {
  await using app = await appWith()
  const answer = await app.inject('/plain')
  assert.match(String(answer.headers['content-security-policy']), /default-src 'none'/)
})

test('where pages are not served there is nothing, and the document can still be had in code', async () => {
  await using app = await appWith({ serve: false })
  for (const url of ['/openapi.json', '/docs', '/docs/', '/docs/static/swagger-ui.css', '/docs/json']) {
    assert.equal((await app.inject(url)).statusCode, 404, url)
  }
  assert.equal((app.swagger() as unknown as Document).info['title'], 'users')
})

test('it works without the other plugins: nothing is said of what they would add', async () => {
  await using app = Fastify()
  await app.register(docs)
  app.get('/things', { schema: { response: { 200: { type: 'object', properties: {} } } } }, async () => ({}))
  const { paths, info } = await documentOf(app)
  assert.deepEqual(info, { title: 'API', version: '0.0.0' })
  assert.equal(paths['/things']?.['get']?.security, undefined)
  assert.deepEqual(Object.keys(paths['/things']?.['get']?.responses ?? {}).toSorted(), ['200', 'default'])
})

test('options that cannot work are refused', async () => {
  for (const options of [{ title: '' }, { version: 7 }, { serve: 'yes' }, { path: '/x' }]) {
    await assert.rejects(appWith(options as never), { code: 'KEELSON_CONFIG_INVALID' })
  }
})
