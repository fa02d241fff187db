/** Parts of the page that are fetched when they are needed. */

import { BASE } from './base'

const WAITS = [300, 900, 2_000] // ms before the next try: a studio that restarts is back by then
const RELOADED = 'stemwright.reloaded' // the build that the page was last loaded anew for

/** A part of the page cannot be had. */
export class PartError extends Error {
  constructor(cause: unknown) {
    super('A part of the page did not arrive. Is the studio still running?', { cause })
    this.name = 'PartError'
  }
}

/** What names the build: the page's script, whose name changes with what is in it. */
export function buildOf(html: string): string | null {
  return /<script[^>]*\ssrc="[^"]*?(assets\/[^"]+)"/.exec(html)?.[1] ?? null
}

/** The address that a browser names when it could not fetch a part. */
export function addressIn(error: unknown): string | null {
  return /https?:\/\/\S+/.exec(error instanceof Error ? error.message : '')?.[0] ?? null
}

/** Fetches a part, some times over; loads the page anew, once, where the studio has a newer one. Throws a `PartError`. */
export async function fetchPart<T>(part: () => Promise<T>, waits: readonly number[] = WAITS): Promise<T> {
  let address: string | null = null
  for (let tries = 0; ; tries += 1) {
    try {
      // Chromium remembers that an address failed: it is asked for under another one
      return await (address ? (import(/* @vite-ignore */ `${address}?again=${Date.now()}`) as Promise<T>) : part())
    } catch (error) {
      address ??= addressIn(error)
      const wait = waits[tries]
      if (wait === undefined) {
        if (await isReloading()) return new Promise(() => {})
        throw new PartError(error)
      }
      await new Promise((resolve) => setTimeout(resolve, wait))
    }
  }
}

/** Loads the page anew where the studio has another build, whose parts have other names; not twice for the same one. */
async function isReloading(): Promise<boolean> {
  try {
    const theirs = buildOf(await (await fetch(BASE, { cache: 'no-store' })).text())
    const ours = buildOf(document.documentElement.outerHTML)
    if (!theirs || theirs === ours || sessionStorage.getItem(RELOADED) === theirs) return false
    sessionStorage.setItem(RELOADED, theirs)
    location.reload()
    return true
  } catch {
    return false // it is away
  }
}
