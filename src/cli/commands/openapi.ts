/** `keelson openapi`: the document that `/openapi.json` serves, without starting anything. */
import type { Command } from '../command.ts'
import { inspect } from '../inspect.ts'

export const openapi: Command = {
  usage: 'openapi [service file]',
  about: 'Prints the OpenAPI 3.1 document of the service as JSON.',
  options: {},
  optionHelp: {},
  async run(invocation) {
    console.log(JSON.stringify(await inspect(invocation, (app) => app.swagger()), null, 2))
    return 0
  },
}
