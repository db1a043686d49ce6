/**
 * The security headers of an API, which answers no page and wants none of its answers framed, sniffed or kept.
 * They stand here, below `http/headers`, because an answer that no hook ever sees must carry them too.
 * Source: OWASP REST Security Cheat Sheet, "Security Headers"; OWASP ASVS 5.0, V3.4.
 */

/** Header names in lower case, with their values. */
export const API_HEADERS: Readonly<Record<string, string>> = Object.freeze({
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
  vary: 'Accept, Accept-Encoding',
})

/** `Strict-Transport-Security`, for answers that travel over TLS (RFC 6797 forbids it on others). */
export const HSTS = 'max-age=31536000; includeSubDomains'
