/** Users of the reference service, through its API. */
import assert from 'node:assert/strict'
import type { Client } from './client.ts'

export interface NewUser {
  readonly email: string
  readonly name: string
  readonly username: string
}

export interface User extends NewUser {
  readonly id: string
}

export const ADA: NewUser = { email: 'ada@example.com', name: 'Ada Lovelace', username: 'ada' }

export async function createUser(client: Client, user: NewUser = ADA): Promise<User> {
  const answer = await client.call('POST', '/api/users', { body: user })
  assert.equal(answer.status, 201, answer.body)
  return answer.json()
}

export async function readUser(client: Client, id: string): Promise<User> {
  const answer = await client.get(`/api/users/${id}`)
  assert.equal(answer.status, 200, answer.body)
  return answer.json()
}

/** Changes the name, whatever version the user has. */
export async function renameUser(client: Client, id: string, name: string): Promise<void> {
  const answer = await client.call('PATCH', `/api/users/${id}`, { body: { name }, headers: { 'if-match': '*' } })
  assert.equal(answer.status, 200, answer.body)
}
