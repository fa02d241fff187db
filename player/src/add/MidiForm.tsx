/** MIDI files for a song of the library. */

import { Search } from 'lucide-react'
import { useDeferredValue, useState } from 'react'
import { useSongs } from '../api/queries'
import { count } from '../lib/format'
import { go } from '../lib/route'
import { Button, FIELD } from '../ui/controls'
import { FileRow, Section } from './parts'
import { choose, clearStage } from './staged'
import { sendNotes } from './uploads'

export function MidiForm({ files }: { files: readonly File[] }) {
  const [search, setSearch] = useState('')
  const [chosen, setChosen] = useState<string | null>(null)
  const { data } = useSongs(useDeferredValue(search), '-used_at')
  const songs = data?.pages[0]?.items.slice(0, 6) ?? []
  const song = songs.find((one) => one.id === chosen)
  if (files.length === 0) return null
  const start = () => {
    if (!song) return
    sendNotes(song, files)
    clearStage()
    go(`/songs/${song.id}`)
  }
  return (
    <>
      <ul className="mt-4 divide-y divide-line">
        {files.map((file) => (
          <FileRow key={`${file.name} ${file.size}`} file={file} />
        ))}
      </ul>
      <Section title="Which song do they belong to?">
        <div className="relative">
          <Search size={16} aria-hidden className="absolute top-3 left-3 text-faint" />
          <input type="search" aria-label="Search songs" placeholder="Search your songs" value={search} onChange={(event) => setSearch(event.target.value)} className={`${FIELD} pl-9`} />
        </div>
        <div role="radiogroup" aria-label="Songs" className="mt-2 overflow-hidden rounded-card border border-line bg-surface">
          {songs.map((one) => (
            <label key={one.id} className="flex cursor-pointer items-center gap-3 border-b border-line px-4 py-2.5 last:border-b-0 hover:bg-raised has-checked:bg-raised">
              <input type="radio" name="song" checked={one.id === chosen} onChange={() => setChosen(one.id)} className="size-4 accent-ink" />
              <span className="truncate">{one.title}</span>
              <span className="truncate text-sm text-faint">{one.artist}</span>
            </label>
          ))}
          {songs.length === 0 && <p className="px-4 py-3 text-sm text-faint">No song like that.</p>}
        </div>
        <p className="mt-3 text-sm text-faint">
          Not here yet? Add MIDI together with its recordings under{' '}
          <button type="button" className="underline underline-offset-4 hover:text-ink" onClick={() => choose('stems')}>
            Stems I already have
          </button>
          .
        </p>
      </Section>
      <div className="sticky bottom-0 mt-4 bg-linear-to-t from-canvas from-60% to-transparent pt-8 pb-5">
        <Button kind="solid" className="w-full sm:w-auto" disabled={!song} onClick={start}>
          Add {count(files.length, 'MIDI file')}
        </Button>
      </div>
    </>
  )
}
