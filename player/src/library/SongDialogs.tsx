/** Rename, separate again, delete. */

import { useState } from 'react'
import { FIELD } from '../add/Add'
import { needOf, timeOf } from '../add/ways'
import { errorOf, type Song } from '../api/client'
import { useJobActions, useSongActions, useWays } from '../api/queries'
import { Button } from '../ui/controls'
import { Dialog, say } from '../ui/surfaces'

interface Props {
  song: Song
  open: boolean
  onClose: () => void
}

export function RenameSong({ song, open, onClose }: Props) {
  return (
    <Dialog open={open} onClose={onClose} title="Rename">
      <RenameForm song={song} onClose={onClose} />
    </Dialog>
  )
}

function RenameForm({ song, onClose }: { song: Song; onClose: () => void }) {
  const [title, setTitle] = useState(song.title)
  const [artist, setArtist] = useState(song.artist)
  const { rename } = useSongActions(song.id)
  return (
    <form
      className="grid gap-4"
      onSubmit={(event) => {
        event.preventDefault()
        rename.mutate({ title: title.trim(), artist: artist.trim() }, { onSuccess: onClose })
      }}
    >
      <label className="text-sm">
        Title
        <input className={`${FIELD} mt-1`} value={title} maxLength={300} required onChange={(event) => setTitle(event.target.value)} />
      </label>
      <label className="text-sm">
        Artist
        <input className={`${FIELD} mt-1`} value={artist} maxLength={300} onChange={(event) => setArtist(event.target.value)} />
      </label>
      {rename.error && <p className="text-sm text-bad">{errorOf(rename.error).message}</p>}
      <Button kind="solid" type="submit" disabled={!title.trim() || rename.isPending} className="justify-self-end">
        Save
      </Button>
    </form>
  )
}

export function SeparateAgain({ song, open, onClose }: Props) {
  return (
    <Dialog open={open} onClose={onClose} title={`Take “${song.title}” apart`}>
      <AgainForm song={song} onClose={onClose} />
    </Dialog>
  )
}

function AgainForm({ song, onClose }: { song: Song; onClose: () => void }) {
  const ways = useWays()
  const { create } = useJobActions()
  const [strategy, setStrategy] = useState('balanced')
  const way = ways.find((one) => one.strategy === strategy) ?? ways[0]
  if (!way) return null
  const need = needOf(way)
  const body = { song_id: song.id, strategy: way.strategy, preview: song.model === null && !way.draft, transcribe: way.stems.includes('drums') }
  return (
    <div className="grid gap-4">
      <label className="text-sm">
        Way
        <select className={`${FIELD} mt-1`} value={way.strategy} onChange={(event) => setStrategy(event.target.value)}>
          {ways.map((one) => (
            <option key={one.strategy} value={one.strategy}>
              {one.title}
            </option>
          ))}
        </select>
      </label>
      <p className="text-sm text-soft">
        {way.gives} It takes {timeOf(way, song.duration ?? 210)}.{need && <span className="text-warn"> {need}.</span>}
      </p>
      {create.error && <p className="text-sm text-bad">{errorOf(create.error).message}</p>}
      <Button
        kind="solid"
        className="justify-self-end"
        disabled={create.isPending || way.state === 'missing'}
        onClick={() => create.mutate(body, { onSuccess: onClose })}
      >
        Take it apart
      </Button>
    </div>
  )
}

export function DeleteSong({ song, open, onClose, onDeleted }: Props & { onDeleted: () => void }) {
  const { remove } = useSongActions(song.id)
  const confirm = () =>
    remove.mutate(undefined, {
      onSuccess: () => {
        say(`“${song.title}” is deleted.`)
        onDeleted()
      },
    })
  return (
    <Dialog open={open} onClose={onClose} title={`Delete “${song.title}”?`}>
      <p className="text-soft">Its recording, its stems and everything made of them go. What you have taken away stays yours.</p>
      {remove.error && <p className="mt-3 text-sm text-bad">{errorOf(remove.error).message}</p>}
      <div className="mt-6 flex justify-end gap-2">
        <Button kind="outline" onClick={onClose}>
          Keep
        </Button>
        <Button kind="bad" onClick={confirm} disabled={remove.isPending}>
          Delete
        </Button>
      </div>
    </Dialog>
  )
}
