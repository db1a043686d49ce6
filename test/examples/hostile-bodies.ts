/** Bodies for `POST /api/users`, from somebody who may create users. */
import { gzipSync } from 'node:zlib'
import { refused, request, type HostileCase } from './hostile-service.ts'

const PATH = '/api/users'
const EVE = { email: 'eve@example.com', name: 'Eve', username: 'eve' }
const INVALID = 'KEELSON_VALIDATION_FAILED'

const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)
const eve = (fields: object): string => JSON.stringify({ ...EVE, ...fields })
const names = (count: number): string => JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, 1])))

/** JSON that breaks a rule. */
const bad = (what: string, body: string | Buffer, code: string): HostileCase =>
  refused(what, request('POST', PATH, { body }), 400, code)

const wrongType = (what: string, type: string, body: string | Buffer = eve({}), headers = ''): HostileCase =>
  refused(what, request('POST', PATH, { body, type, headers }), 415, 'KEELSON_MEDIA_TYPE_UNSUPPORTED')

const compressed = (what: string, coding: string, body: string | Buffer): HostileCase =>
  refused(
    what,
    request('POST', PATH, { body, headers: `Content-Encoding: ${coding}\r\n` }),
    415,
    'KEELSON_CONTENT_ENCODING_UNSUPPORTED',
  )

export const BODIES: readonly HostileCase[] = [
  refused('no body', request('POST', PATH), 400, INVALID),
  bad('an empty body', '', 'empty'),
  bad('only spaces', '   ', 'syntax'),
  bad('half a text', '{"email":"eve@exam', 'syntax'),
  bad('a trailing comma', '{"email":"eve@example.com",}', 'syntax'),
  bad('a comment', `/* */${eve({})}`, 'syntax'),
  bad('two texts', `${eve({})}${eve({})}`, 'syntax'),
  bad('NaN', '{"email":NaN}', 'syntax'),
  bad('33 levels', `{"name":${nested(32)}}`, 'too_deep'),
  bad('50,000 levels', nested(50_000), 'too_deep'),
  bad('1,001 names', names(1_001), 'too_many_keys'),
  bad('10,001 elements', `{"name":${JSON.stringify(Array(10_001).fill(0))}}`, 'too_many_items'),
  bad('a name of 65,537 characters', eve({ name: 'x'.repeat(65_537) }), 'string_too_long'),
  refused(
    '100 KiB and a byte',
    request('POST', PATH, { body: eve({ name: 'x'.repeat(102_400) }) }),
    413,
    'KEELSON_BODY_TOO_LARGE',
  ),
  bad('the same name twice', '{"email":"a@example.com","email":"b@example.com"}', 'duplicate_key'),
  bad('the same name twice, once escaped', '{"email":"a@example.com","\\u0065mail":"b@example.com"}', 'duplicate_key'),
  bad('the same name twice, deep inside', '{"x":[{"a":1,"\\u0061":2}]}', 'duplicate_key'),
  bad('__proto__', `{"__proto__":{"isAdmin":true},${eve({}).slice(1)}`, 'forbidden_name'),
  bad('__proto__, escaped', `{"\\u005f_proto__":{},${eve({}).slice(1)}`, 'forbidden_name'),
  bad('constructor.prototype', `{"constructor":{"prototype":{}},${eve({}).slice(1)}`, 'forbidden_name'),
  bad('a NUL, escaped', eve({ name: 'E\0ve' }), 'nul'),
  bad('a NUL, raw', '{"name":"\0"}', 'nul'),
  bad('a line break inside a text', '{"name":"E\nve"}', 'syntax'),
  bad('half a surrogate pair', '{"name":"\\ud800"}', 'lone_surrogate'),
  bad('bytes that are not UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 'invalid_utf8'),
  bad('a longer form of a slash in UTF-8', Buffer.from([0x22, 0xc0, 0xaf, 0x22]), 'invalid_utf8'),
  bad('a byte order mark', `\ufeff${eve({})}`, 'byte_order_mark'),
  bad('a number beyond all bounds', '{"name":1e400}', 'number_out_of_range'),

  bad('a list', `[${eve({})}]`, 'invalid_type'),
  bad('null', 'null', 'invalid_type'),
  bad('a text', '"eve"', 'invalid_type'),
  bad('a number for a name', eve({ name: 7 }), 'invalid_type'),
  bad('an object that would print itself', eve({ name: { toString: 'eve' } }), 'invalid_type'),
  bad('a field that is not asked for', eve({ id: '00000000-0000-7000-8000-000000000000' }), 'unrecognized_key'),
  bad('a version of one’s own', eve({ version: 99, createdAt: '1970-01-01T00:00:00Z' }), 'unrecognized_key'),
  bad('a header inside an address', eve({ email: 'eve@example.com\r\nBcc: all@example.com' }), INVALID),
  bad('an address of 300 characters', eve({ email: `${'e'.repeat(290)}@e.example` }), INVALID),
  bad('an address made to keep a pattern busy', eve({ email: `${'a.'.repeat(30_000)}@` }), INVALID),
  bad('a name of spaces', eve({ name: ' \t\u2003 ' }), INVALID),
  bad('a statement as user name', eve({ username: "x'; DROP TABLE users; --" }), INVALID),
  bad('a user name that looks like another', eve({ username: 'аda' }), INVALID),
  bad('a user name that ends its line', eve({ username: 'eve\n' }), INVALID),

  wrongType('text', 'text/plain'),
  wrongType('a form', 'application/x-www-form-urlencoded', 'email=eve@example.com'),
  wrongType('XML with entities', 'application/xml', '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>'),
  wrongType('files', 'multipart/form-data; boundary=x', '--x--'),
  wrongType('no type', ''),
  wrongType('a type that is none', ';;;'),
  wrongType('JSON in UTF-16', 'application/json; charset=utf-16', Buffer.from(eve({}), 'utf16le')),
  refused(
    'two types',
    request('POST', PATH, { body: eve({}), headers: 'Content-Type: text/plain\r\n' }),
    400,
    'KEELSON_REQUEST_MALFORMED',
  ),
  compressed('a bomb in gzip', 'gzip', gzipSync(Buffer.alloc(10_000_000, 0x20))),
  compressed('gzip in name only', 'gzip', eve({})),
  compressed('gzip twice', 'gzip, gzip', gzipSync(gzipSync(eve({})))),
]
