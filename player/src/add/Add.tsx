/** Adding: three ways in, the files, and what is to become of them. */

import { ArrowLeft, AudioLines, FolderOpen, Layers, Music4 } from 'lucide-react'
import { useRef } from 'react'
import { count } from '../lib/format'
import { useTitle } from '../lib/route'
import { useStore } from '../lib/store'
import { Link } from '../ui/Link'
import { Button } from '../ui/controls'
import { MidiForm } from './MidiForm'
import { SongForm } from './SongForm'
import { StemsForm } from './StemsForm'
import { ACCEPTED, kindOf, tidy } from './files'
import { choose, stage, staged, type Way } from './staged'

const WAYS: readonly { way: Way; title: string; text: string; icon: typeof Layers }[] = [
  { way: 'song', title: 'A song to take apart', text: 'Any recording. Out come its stems.', icon: AudioLines },
  { way: 'stems', title: 'Stems I already have', text: 'One file a stem. Mix and share them here.', icon: Layers },
  { way: 'midi', title: 'MIDI stems', text: 'Notes for a song, kept beside its stems.', icon: Music4 },
]

export function Add() {
  useTitle('Add music')
  const { way, files, refused } = useStore(staged)
  return (
    <div className="mx-auto max-w-3xl px-4 pt-2 pb-24 sm:px-8">
      <Link to="/" className="inline-flex items-center gap-2 rounded-full py-2 text-sm text-soft hover:text-ink">
        <ArrowLeft size={16} aria-hidden /> Your songs
      </Link>
      <h1 className="mt-3 mb-6 text-3xl font-semibold tracking-tight">Add music</h1>
      <div role="radiogroup" aria-label="What do you have?" className="grid gap-3 sm:grid-cols-3">
        {WAYS.map((one) => (
          <WayCard key={one.way} {...one} chosen={one.way === way} />
        ))}
      </div>
      <DropZone way={way} />
      {refused > 0 && (
        <p role="alert" className="mt-3 text-sm text-warn">
          {count(refused, 'file')} left out: neither a recording nor MIDI.
        </p>
      )}
      {way === 'song' && <SongForm files={files.filter((file) => kindOf(file) === 'audio')} />}
      {way === 'stems' && <StemsForm files={files} />}
      {way === 'midi' && <MidiForm files={files.filter((file) => kindOf(file) === 'midi')} />}
    </div>
  )
}

function WayCard({ way, title, text, icon: Icon, chosen }: (typeof WAYS)[number] & { chosen: boolean }) {
  return (
    <label className="flex cursor-pointer flex-row items-center gap-4 rounded-card border border-line bg-surface p-4 transition-colors hover:border-strong has-checked:border-ink has-checked:bg-raised has-focus-visible:outline-2 has-focus-visible:outline-offset-2 has-focus-visible:outline-ink sm:flex-col sm:items-start sm:gap-3">
      <input type="radio" name="way" value={way} checked={chosen} onChange={() => choose(way)} className="sr-only" />
      <Icon size={22} aria-hidden className={`shrink-0 ${chosen ? 'text-ink' : 'text-faint'}`} />
      <span>
        <span className="block font-medium">{title}</span>
        <span className="block text-sm text-faint">{text}</span>
      </span>
    </label>
  )
}

const PROMPTS: Record<Way, string> = {
  song: 'Drop songs here',
  stems: 'Drop the stems of one song here',
  midi: 'Drop MIDI files here',
}

function DropZone({ way }: { way: Way }) {
  const files = useRef<HTMLInputElement>(null)
  const folder = useRef<HTMLInputElement>(null)
  const take = (input: HTMLInputElement) => {
    stage(tidy([...(input.files ?? [])]), way)
    input.value = ''
  }
  return (
    <div className="mt-4 flex flex-col items-center gap-4 rounded-card border border-dashed border-strong px-6 py-9 text-center">
      <p className="text-soft pointer-coarse:hidden">{PROMPTS[way]}, or</p>
      <div className="flex flex-wrap justify-center gap-2">
        <Button kind="solid" onClick={() => files.current?.click()}>
          Choose files
        </Button>
        <Button kind="outline" className="pointer-coarse:hidden" onClick={() => folder.current?.click()}>
          <FolderOpen size={17} aria-hidden /> Choose a folder
        </Button>
      </div>
      <input ref={files} type="file" multiple hidden accept={ACCEPTED} data-testid="files" onChange={(event) => take(event.currentTarget)} />
      <input
        ref={(input) => {
          folder.current = input
          input?.setAttribute('webkitdirectory', '')
        }}
        type="file"
        hidden
        data-testid="folder"
        onChange={(event) => take(event.currentTarget)}
      />
    </div>
  )
}
