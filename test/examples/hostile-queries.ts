/** What comes in a good request's query, path and conditions. */
import { createCursorCodec } from '../../src/http/pagination/index.ts'
import { SECRET } from '../http/auth-forge.ts'
import { refused, request, served, type HostileCase } from './hostile-service.ts'

const PATH = '/api/users'
const INVALID = 'KEELSON_VALIDATION_FAILED'
const order = [{ column: 'id' }]
const cursors = createCursorCodec({ secret: SECRET })
const foreigner = createCursorCodec({ secret: 'the secret of some other service' })
const genuine = cursors.encode({ order, values: ['00000000-0000-7000-8000-000000000000'] })

const query = (what: string, text: string, code = INVALID): HostileCase =>
  refused(what, request('GET', `${PATH}?${text}`), 400, code)

const cursor = (what: string, text: string): HostileCase => query(what, `cursor=${text}`, 'KEELSON_CURSOR_INVALID')

export const QUERIES: readonly HostileCase[] = [
  served('a cursor of ours, as it should be', request('GET', `${PATH}?cursor=${genuine}`)),
  cursor('a cursor that is none', 'x'),
  cursor('a cursor in plain JSON', Buffer.from('["00000000-0000-7000-8000-000000000000"]').toString('base64url')),
  cursor(
    'a cursor with one character changed',
    genuine.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')),
  ),
  cursor('a cursor with padding', `${genuine}%3D`),
  cursor('a cursor cut short', genuine.slice(0, 24)),
  cursor('a cursor of another service', foreigner.encode({ order, values: ['00000000-0000-7000-8000-000000000000'] })),
  cursor('a cursor of another list', cursors.encode({ order: [{ column: 'email' }], values: ['a@example.com'] })),
  query('a cursor of ours for a list of names', `cursor=${cursors.encode({ order, values: ['ada'] })}`, 'KEELSON_INVALID'),
  query('a cursor of ours for a list of numbers', `cursor=${cursors.encode({ order, values: [1] })}`, 'KEELSON_INVALID'),
  query('an empty cursor', 'cursor='),
  query('a cursor of 2,000 characters', `cursor=${'A'.repeat(2_000)}`),
  query('two cursors', `cursor=${genuine}&cursor=${genuine}`),
  query('a limit of 101', 'limit=101'),
  query('a limit of nothing', 'limit=0'),
  query('a limit below nothing', 'limit=-1'),
  query('a limit in powers', 'limit=1e1'),
  query('a limit in hexadecimal', 'limit=0x10'),
  query('a limit in other digits', 'limit=%D9%A3'),
  query('two limits', 'limit=1&limit=100'),
  query('a limit in brackets', 'limit[]=1'),
  query('a field that is no parameter', 'limit=1&admin=true'),
  query('__proto__ as a parameter', '__proto__=1'),
  query('1,000 parameters', Array.from({ length: 1_000 }, (_, i) => `p${i}=`).join('&')),
]

const id = (what: string, text: string): HostileCase => refused(what, request('GET', `${PATH}/${text}`), 400, INVALID)

export const IDS: readonly HostileCase[] = [
  id('a number for an id', '42'),
  id('a statement for an id', '1%27%20OR%20%271%27=%271'),
  id('an id with something behind it', '00000000-0000-7000-8000-000000000000%0a'),
  id('an id in braces', '%7B00000000-0000-7000-8000-000000000000%7D'),
  refused('an id that nobody has', request('GET', `${PATH}/ffffffff-ffff-ffff-ffff-ffffffffffff`), 404, 'KEELSON_NOT_FOUND'),
]

/** Against a user that exists, in its second version. */
export function conditionsOn(path: string): readonly HostileCase[] {
  const patch = (what: string, condition: string, status: number, code: string): HostileCase =>
    refused(what, request('PATCH', path, { headers: condition, body: '{"name":"Mallory"}' }), status, code)
  const stale = (what: string, tags: string): HostileCase =>
    patch(what, `If-Match: ${tags}\r\n`, 412, 'KEELSON_PRECONDITION_FAILED')
  const unreadable = (what: string, tags: string): HostileCase =>
    patch(what, `If-Match: ${tags}\r\n`, 400, 'KEELSON_PRECONDITION_INVALID')
  return [
    patch('a change without If-Match', '', 428, 'KEELSON_PRECONDITION_REQUIRED'),
    refused('a deletion without If-Match', request('DELETE', path), 428, 'KEELSON_PRECONDITION_REQUIRED'),
    stale('the version before', '"v1"'),
    stale('the right version, but weak', 'W/"v2"'),
    stale('a version beyond all integers', '"v99999999999999999999"'),
    stale('a version just beyond an integer', '"v2147483648"'),
    stale('the right version in other digits', '"v02"'),
    unreadable('no quotes', 'v2'),
    unreadable('an open quote', '"v2'),
    unreadable('a star among tags', '*, "v2"'),
    unreadable('10,000 commas', ','.repeat(10_000)),
    unreadable('a statement', "'; DROP TABLE users; --"),
    patch(
      'If-Unmodified-Since instead',
      'If-Unmodified-Since: Sat, 01 Jan 2000 00:00:00 GMT\r\n',
      428,
      'KEELSON_PRECONDITION_REQUIRED',
    ),
    refused('nothing to change', request('PATCH', path, { headers: 'If-Match: "v2"\r\n', body: '{}' }), 400, INVALID),
    served('If-None-Match that cannot be read', request('GET', path, { headers: 'If-None-Match: v2"\r\n' })),
    served('a part of the answer', request('GET', path, { headers: 'Range: bytes=0-0,-1\r\n' })),
  ]
}
