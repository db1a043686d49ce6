/** `keelson/http/database`: `app.db` and `request.db`, tied to the request's deadline. */
export { database, type DatabaseOptions } from './database.ts'
