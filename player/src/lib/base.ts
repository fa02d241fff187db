/** Where the studio is below its host: `/`, or a sub-path such as `/stemwright/` behind a proxy. */

/** The folder of a file that the page names relative to itself, as a path. */
export function folderOf(address: string): string {
  return new URL('.', address).pathname
}

const icon = globalThis.document?.querySelector<HTMLLinkElement>('link[rel=icon]')

/** The studio's own path, with a slash at its end: the page's icon lies there, at whichever view the page was opened. */
export const BASE = icon ? folderOf(icon.href) : '/'

if (icon) icon.href = BASE + 'icon.svg' // in full: what is relative would be looked for anew, elsewhere, when the view changes

/** The address of a view, which begins with a slash. */
export function hrefOf(view: string, base = BASE): string {
  return base + view.slice(1)
}

/** The view at an address; an address that is not the studio's is left as it is. */
export function viewAt(path: string, base = BASE): string {
  if (`${path}/` === base) return '/'
  return path.startsWith(base) ? `/${path.slice(base.length)}` : path
}
