/** The WebAssembly of npm's `signalsmith-stretch`; its own loader needs a blob: script, which our policy forbids. */

import { fetchPart } from '../lib/parts'
import type { StretchCode } from './dsp/stretch'

/** Take it out of the package's script, with the names that its functions have in there. */
export function stretchCode(script: string): StretchCode {
  const data = /data:application\/octet-stream;base64,([A-Za-z0-9+/=]+)/.exec(script)
  if (!data) throw new Error('signalsmith-stretch holds no WebAssembly')
  const names = Object.fromEntries(
    [...script.matchAll(/Module\["(_\w+)"\]=wasmExports\["(\w+)"\]/g)].map((found) => [found[1]!, found[2]!]),
  )
  const constructors = /___wasm_call_ctors=wasmExports\["(\w+)"\]/.exec(script)
  if (constructors) names['constructors'] = constructors[1]!
  return { wasm: Uint8Array.from(atob(data[1]!), (letter) => letter.charCodeAt(0)), names }
}

/** Load it; the package is a file of its own that only those who change speed or pitch fetch. */
export async function loadStretchCode(): Promise<StretchCode> {
  const { default: script } = await fetchPart(() => import('signalsmith-stretch?raw'))
  return stretchCode(script)
}
