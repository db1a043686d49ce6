/**
 * Compiles each route's `auth` policy into a hook that runs before the body is read.
 * Refusals follow RFC 6750 §3: 401 `invalid_token`, 403 `insufficient_scope`, both with `WWW-Authenticate`.
 */
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import { isKeelsonError, KeelsonError } from '../../core/errors.ts'
import { invalidOption, resolveOptions } from '../../core/options.ts'
import { createEmitter, type Listener } from '../../core/telemetry.ts'
import { verdictOf } from '../errors/index.ts'
import { bearerToken } from './bearer.ts'
import type { Principal } from './claims.ts'
import { AUTH_CHANNEL, type AuthEvent } from './events.ts'
import { checkPolicy, ScopeDefaults, type AuthPolicy } from './policy.ts'
import { forbidden, refused } from './refusal.ts'
import { authOf, routeName } from './route-option.ts'
import type { Verifier } from './verifier.ts'

declare module 'fastify' {
  // All its type parameters have defaults, so they need not be repeated here.
  interface RouteShorthandOptions {
    /** Who may call this route. Default: what its scope says (`scope.policy({ auth })`). */
    auth?: AuthPolicy
  }

  interface FastifyInstance {
    /** Sets defaults for the routes of this scope and of the scopes inside; call it before they are added. */
    policy(defaults: { readonly auth: AuthPolicy }): void
  }

  interface FastifyRequest {
    /** Whoever sent this request; `null` on a public route, even if a token came with it. */
    principal: Principal | null
  }
}

export interface AuthOptions {
  /** Decides which tokens are good. The caller owns it, and disposes it. */
  readonly verifier: Verifier
  /** Whether a route that states no policy, and has no scope that does, keeps the app from starting. Default: false. */
  readonly demandPolicy?: boolean | undefined
  readonly onEvent?: Listener<AuthEvent> | undefined
}

export const AUTH_DEFAULTS: { readonly demandPolicy: boolean } = { demandPolicy: false }

async function authPlugin(app: FastifyInstance, { verifier, onEvent, ...given }: AuthOptions): Promise<void> {
  if (typeof verifier?.verify !== 'function') throw invalidOption('auth', 'verifier', 'must come from createVerifier()', verifier)
  if ('apiKeys' in given) throw invalidOption('auth', 'apiKeys', 'is not available yet', '(hidden)')
  const { demandPolicy } = resolveOptions('auth', AUTH_DEFAULTS, given, {})
  const emit = createEmitter<AuthEvent>(AUTH_CHANNEL, onEvent)
  const defaults = new ScopeDefaults()
  const undeclared = new Set<string>()

  app.decorateRequest('principal', null)
  app.decorate('policy', function setPolicy(this: FastifyInstance, { auth }) {
    defaults.set(this, checkPolicy(`policy of ${this.prefix || '/'}`, auth))
  })

  app.addHook('onRoute', function compileAuth(this: FastifyInstance, route) {
    const policy = authOf(route) ?? (isPreflight(route) ? false : defaults.take(this, routeName(route)))
    if (policy === undefined) {
      undeclared.add(routeName(route))
      return
    }
    // For whoever describes routes: the default of a scope is not to be seen on the route otherwise.
    route.auth = policy
    if (policy === false) return
    const guard = policy === 'any' ? authenticate : requireScopes(policy.scopes)
    route.onRequest = [guard, ...[route.onRequest ?? []].flat()]
  })

  if (demandPolicy) {
    app.addHook('onReady', async function demandPolicies() {
      if (undeclared.size > 0) throw missingPolicies(undeclared)
    })
  }

  async function authenticate(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    request.principal = await principalOf(request, reply)
  }

  function requireScopes(scopes: readonly string[]): typeof authenticate {
    const challenge = `Bearer error="insufficient_scope", scope="${scopes.join(' ')}"`
    return async function authorize(request, reply) {
      const principal = await principalOf(request, reply)
      if (!scopes.every((scope) => principal.scopes.has(scope))) {
        emit({ type: 'access.refused', source: verifier.name, route: request.routeOptions.url ?? '', required: scopes })
        throw answered(forbidden(scopes), reply, challenge)
      }
      request.principal = principal
    }
  }

  async function principalOf(request: FastifyRequest, reply: FastifyReply): Promise<Principal> {
    try {
      const token = tokenOf(request)
      if (token === undefined) throw refused('missing')
      return await verifier.verify(token)
    } catch (error) {
      if (!isKeelsonError(error, 'KEELSON_UNAUTHENTICATED')) throw answered(error, reply)
      throw answered(error, reply, error.details['reason'] === 'missing' ? 'Bearer' : 'Bearer error="invalid_token"')
    }
  }

  function tokenOf(request: FastifyRequest): string | undefined {
    try {
      return bearerToken(request.raw)
    } catch (error) {
      emit({ type: 'token.refused', source: verifier.name, reason: 'repeated_header' })
      throw error
    }
  }
}

/** Sets the status here too, so that an app without `keelson/http/errors` answers right. */
function answered<E>(error: E, reply: FastifyReply, challenge?: string): E {
  reply.code(verdictOf(error).status)
  if (challenge !== undefined) reply.header('www-authenticate', challenge)
  return error
}

/** A browser sends no token with it, so a policy could only break it; a route may still state its own. */
function isPreflight({ method }: RouteOptions): boolean {
  return [method].flat().every((name) => name === 'OPTIONS')
}

function missingPolicies(routes: ReadonlySet<string>): KeelsonError<'KEELSON_POLICY_MISSING'> {
  // Fastify makes a HEAD route of each GET route; it takes the policy of that one, so it isn't worth a line.
  const listed = [...routes].filter((route) => !(route.startsWith('HEAD ') && routes.has(route.replace('HEAD', 'GET'))))
  const lines = listed.map((route) => `  ${route}   add  auth: { scopes: ['…'] }  or  auth: 'any'  or  auth: false`)
  const message = `these routes do not say who may call them:\n${lines.join('\n')}\nor set it for a scope: scope.policy({ auth: … })`
  return new KeelsonError('KEELSON_POLICY_MISSING', 'invalid', message, { details: { routes: listed } })
}

/** Fastify plugin: `auth` on routes, `scope.policy({ auth })`, `request.principal`. */
export const auth: FastifyPluginAsync<AuthOptions> = fp(authPlugin, { name: 'keelson-http-auth', fastify: '5.x' })
