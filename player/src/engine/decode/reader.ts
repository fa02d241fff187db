import type { Channels } from '../dsp/reel'

/** Decoded samples of one file, from any place on. */
export interface Reader {
  readonly sampleRate: number
  /** Planar samples from `start` on, as many as asked for; silence after the file's end. One call at a time. */
  read(start: number, frames: number): Promise<Channels>
  close(): void
}
