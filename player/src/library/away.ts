/** Failures that the user has put away, remembered in this browser. */

import { createStore } from '../lib/store'
import { recall, remember } from '../lib/memory'

const MOST = 200
export const away = createStore<readonly string[]>(recall<string[]>('away') ?? [])

export function putAway(job: string): void {
  away.set((ids) => [...ids, job].slice(-MOST))
  remember('away', away.get())
}
