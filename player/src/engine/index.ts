/** The audio engine of the player. */

import { audioContext } from './context'
import { StreamEngine } from './engine'
import type { OpenEngine } from './types'

export { isHeard } from './settings'
export * from './types'

/** Open a song on an audio output of its sample rate. Fails where a file cannot be had, or the browser forbids it. */
export const openEngine: OpenEngine = async (options) => {
  if (typeof AudioWorkletNode === 'undefined') {
    throw new Error('This browser plays only over https:// or from localhost: open the page that way.')
  }
  const context = audioContext(options.sampleRate)
  try {
    const engine = await StreamEngine.on(context, options)
    engine.node.connect(context.destination)
    return engine
  } catch (error) {
    await context.close().catch(() => {}) // the engine may have begun that
    throw error
  }
}
