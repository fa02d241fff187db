/** What the page and the audio engine agree on. Times are seconds of the song, gains dB, pitch semitones. */

/** One stem as the server has it: FLAC by Range where WebCodecs can decode it, else WAV. */
export interface StemSource {
  readonly name: string
  readonly flac: string
  readonly wav: string
}

/** How one stem is heard. A muted stem is silent, soloed or not. What is out of bounds is set to the bound. */
export interface StemSettings {
  readonly gain: number // dB, -60 (silent) to +12
  readonly pan: number // -1 left, 0, 1 right; a balance: at 0 both sides are as they are
  readonly mute: boolean
  readonly solo: boolean
  readonly eq: { readonly low: number; readonly mid: number; readonly high: number } // dB, -24 to +12
}

export const PLAIN: StemSettings = { gain: 0, pan: 0, mute: false, solo: false, eq: { low: 0, mid: 0, high: 0 } }

/** What is said of work that `close` ended. */
export class ClosedError extends Error {}

export interface Region {
  readonly start: number
  readonly end: number
}

export interface EngineState {
  readonly status: 'loading' | 'ready' | 'playing' | 'buffering' | 'failed'
  readonly error: string | null
  readonly loop: Region | null
  readonly speed: number // 0.5 to 1.5, pitch kept
  readonly pitch: number // -12 to 12
  readonly volume: number // dB, of the whole, -60 (silent) to +6
  readonly original: 'off' | 'opening' | 'on' // the original instead of the stems, which are heard until it is open
  readonly stems: Readonly<Record<string, StemSettings>>
}

/**
 * The audio engine: one AudioWorklet mixer, fed in small buffers; all stems locked to one sample clock. A limiter at
 * 0 dBFS (5 ms of look-ahead, taken off `position`) changes no bit of what stays below it.
 */
export interface Engine {
  /** Of the stems that are heard, in the order of their levels; others once `replace` has brought others. */
  readonly names: readonly string[]
  readonly duration: number
  readonly state: EngineState
  /** Calls back after each change of `state`; returns what ends it. For React's useSyncExternalStore. */
  subscribe(listener: () => void): () => void
  /** What is heard now, seconds of the song (output latency taken off). Cheap: for each animation frame. */
  position(): number
  /** RMS and peak since the last call, dBFS, per stem and `master`. Cheap: for each animation frame. */
  levels(): Readonly<Record<string, { readonly rms: number; readonly peak: number }>>
  /** From the start again where it has ended. Needs a gesture of the user the first time, as browsers demand. */
  play(): Promise<void>
  pause(): void
  seek(seconds: number): void
  /** Repeats a region once playback is in it; does not jump there. */
  setLoop(region: Region | null): void
  setStem(name: string, change: Partial<StemSettings>): void
  setVolume(db: number): void
  /**
   * The original instead of the stems, as loud as their mix was: the recording, where there is one, else the sum of the
   * stems as they are. It is opened when it is first wanted; rejects where it cannot be while it still is.
   */
  setOriginal(on: boolean): Promise<void>
  setSpeed(rate: number): void
  setPitch(semitones: number): void
  /**
   * Other stems of the song (draft to fine): the sound goes over with a cross-fade of 30 ms, playback goes on. Stems keep
   * their settings by their names. `original` is the recording, where none was known. Rejects where the files cannot be
   * had; then all stays as it was.
   */
  replace(stems: readonly StemSource[], original: StemSource | null): Promise<void>
  close(): void
}

export interface OpenOptions {
  readonly stems: readonly StemSource[]
  readonly original: StemSource | null // the recording
  readonly sampleRate: number // of the song, Hz
  readonly samples: number // length of the song
}

export type OpenEngine = (options: OpenOptions) => Promise<Engine>
