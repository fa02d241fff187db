/** Where in the page one is: `/`, `/add`, `/fleet`, `/songs/ID`, below the studio's own path. */

import { useEffect } from 'react'
import { hrefOf, viewAt } from './base'
import { createStore, useStore } from './store'

export type Route = { view: 'library' } | { view: 'add' } | { view: 'fleet' } | { view: 'song'; id: string } | { view: 'nowhere' }

export function routeOf(path: string): Route {
  if (path === '/') return { view: 'library' }
  if (path === '/add') return { view: 'add' }
  if (path === '/fleet') return { view: 'fleet' }
  const song = /^\/songs\/([\w-]+)$/.exec(path)?.[1]
  return song ? { view: 'song', id: song } : { view: 'nowhere' }
}

const path = createStore(viewAt(globalThis.location?.pathname ?? '/'))
globalThis.addEventListener?.('popstate', () => path.set(viewAt(location.pathname)))

export function go(to: string): void {
  const href = hrefOf(to)
  if (href === location.pathname) return
  history.pushState(null, '', href)
  path.set(to)
  scrollTo(0, 0)
}

export function useRoute(): Route {
  return routeOf(useStore(path))
}

/** Names the browser's tab after what is shown. */
export function useTitle(name: string): void {
  useEffect(() => {
    document.title = name ? `${name} · Stemwright` : 'Stemwright'
  }, [name])
}
