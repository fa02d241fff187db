/** What the page, the decoding worker and the audio thread say to each other. Positions are samples of the song. */

import type { Report } from './dsp/deck'
import type { MixerOptions } from './dsp/mixer'
import type { Span } from './dsp/path'
import type { Channels } from './dsp/reel'
import type { StretchCode } from './dsp/stretch'
import type { Heard } from './dsp/strip'
import type { StemSource } from './types'

export const MIXER = 'stemwright-mixer' // the name of the audio worklet's processor
export const ORIGINAL = 0 // the reel of the original; the stems' are counted from 1

/** The page to the worker. */
export type FeederCommand =
  | { type: 'start'; port: MessagePort; sampleRate: number; length: number }
  | { type: 'open'; reel: number; sources: readonly StemSource[] }
  | { type: 'close'; reel: number }
  | { type: 'seek'; seek: number; position: number }
  | { type: 'loop'; loop: Span | null }

/** The worker to the page. `filled`: enough is decoded for sound to begin at the place of this seek. */
export type FeederEvent =
  | { type: 'opened'; reel: number }
  | { type: 'filled'; seek: number }
  | { type: 'failed'; reel: number; reason: string }

/** The worker to the audio thread. */
export type ReelMessage =
  | { type: 'chunk'; reel: number; sources: number; source: number; index: number; channels: Channels }
  | { type: 'drop'; reel: number; indices: readonly number[] }

/** The audio thread to the worker. */
export interface Place {
  readonly seek: number
  readonly position: number
}

/** The page to the audio thread. */
export type DeckCommand =
  | { type: 'feed'; port: MessagePort }
  | { type: 'play' }
  | { type: 'pause' }
  | { type: 'seek'; seek: number; position: number }
  | { type: 'loop'; loop: Span | null }
  | { type: 'stems'; reel: number; stems: readonly Heard[] }
  | { type: 'volume'; gain: number }
  | { type: 'original'; on: boolean; recorded: boolean } // whether a recording is to be had
  | { type: 'tempo'; speed: number; pitch: number }
  | { type: 'stretch'; code: StretchCode }
  | { type: 'unload'; reel: number }
  | { type: 'close' }

/** The audio thread to the page. `time`: the context's, at which the report's position leaves the mixer. */
export type DeckEvent =
  | ({ type: 'report'; time: number } & Report)
  | { type: 'replaced'; reel: number }
  | { type: 'unstretched'; reason: string }
  | { type: 'failed'; reason: string }

export type DeckOptions = MixerOptions
