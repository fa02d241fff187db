/** What can be wrong with a file of sound. */

/** The server refuses it, or gives another file than before. */
export class FetchError extends Error {
  override name = 'FetchError'
}

/** It is not what it should be. */
export class FormatError extends Error {
  override name = 'FormatError'
}
