/** Who may call a route: plain data, stated on the route or once for a scope, checked at boot. */
import type { FastifyInstance } from 'fastify'
import { invalidOption } from '../../core/options.ts'

/** `false`: everybody. `'any'`: any valid token. `scopes`: a valid token that has all of them. */
export type AuthPolicy = false | 'any' | { readonly scopes: readonly string[] }

const RULE = "must be false, 'any' or { scopes: ['…'] }"

/** RFC 6749 §3.3; also what can stand in a quoted string of `WWW-Authenticate` as it is. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+$/

/** @throws KeelsonError `KEELSON_CONFIG_INVALID` naming `owner`, which is a route or a scope. */
export function checkPolicy(owner: string, given: unknown): AuthPolicy {
  if (given === false || given === 'any') return given
  if (typeof given !== 'object' || given === null) throw invalidOption(owner, 'auth', RULE, given)
  const { scopes, ...others } = given as { readonly scopes?: unknown }
  const [other] = Object.keys(others)
  if (other !== undefined)
    throw invalidOption(owner, `auth.${other}`, 'is not an option: API keys and others are not available', other)
  if (!Array.isArray(scopes)) throw invalidOption(owner, 'auth.scopes', 'must be a list of scopes', scopes)
  if (scopes.length === 0)
    throw invalidOption(owner, 'auth.scopes', "must not be empty (for any valid token: auth: 'any')", scopes)
  const bad: unknown = scopes.find((scope) => typeof scope !== 'string' || !SCOPE.test(scope))
  if (bad !== undefined) throw invalidOption(owner, 'auth.scopes', 'must hold scopes without spaces, quotes and backslashes', bad)
  return { scopes: [...new Set(scopes as string[])] }
}

/** The defaults that scopes have set for their routes, inherited by the scopes inside. */
export class ScopeDefaults {
  readonly #policies = new WeakMap<object, AuthPolicy>()
  /** The first route of a scope that has taken its default, or found none. */
  readonly #taken = new WeakMap<object, string>()

  /** @throws KeelsonError `KEELSON_CONFIG_INVALID` if a route of the scope has taken another default before. */
  set(scope: FastifyInstance, policy: AuthPolicy): void {
    const owner = `policy of ${scope.prefix || '/'}`
    const route = this.#taken.get(scope)
    if (route !== undefined) throw invalidOption(owner, 'auth', `must be set before the routes of its scope (${route})`, policy)
    if (this.#policies.has(scope)) throw invalidOption(owner, 'auth', 'is set already', policy)
    this.#policies.set(scope, policy)
  }

  /** The default for `route`. Fastify's scopes inherit from each other as objects do, so the search follows prototypes. */
  take(scope: FastifyInstance, route: string): AuthPolicy | undefined {
    if (!this.#taken.has(scope)) this.#taken.set(scope, route)
    for (let at: object | null = scope; at; at = Object.getPrototypeOf(at) as object | null) {
      const policy = this.#policies.get(at)
      if (policy !== undefined) return policy
    }
    return undefined
  }
}
