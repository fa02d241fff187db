/** The library: all songs, and what is being done with them. */

import { Plus, Search } from 'lucide-react'
import { useDeferredValue, useState } from 'react'
import { uploads } from '../add/uploads'
import { errorOf } from '../api/client'
import { useJobs, useSongs, type Sort } from '../api/queries'
import { count } from '../lib/format'
import { recall, remember } from '../lib/memory'
import { useTitle } from '../lib/route'
import { useStore } from '../lib/store'
import { Link } from '../ui/Link'
import { Button, look, Select } from '../ui/controls'
import { SongRow } from './SongRow'
import { Trouble, UploadRow } from './UploadRow'
import { away } from './away'
import { failedJobOf, liveJobOf, orphansOf } from './jobs'

const SORTS: readonly (readonly [Sort, string])[] = [
  ['-created_at', 'Newest first'],
  ['-used_at', 'Last played'],
  ['title', 'Title'],
  ['artist', 'Artist'],
  ['-duration', 'Longest first'],
  ['bpm', 'Tempo'],
  ['key', 'Key'],
]

export function Library() {
  useTitle('Your songs')
  const [search, setSearch] = useState('')
  const [sort, setSort] = useState<Sort>(() => recall<Sort>('sort') ?? '-created_at')
  const wanted = useDeferredValue(search.trim())
  const songs = useSongs(wanted, sort)
  const sending = useStore(uploads)
  const { data: jobs = [] } = useJobs()
  const put = useStore(away)
  const items = songs.data?.pages.flatMap((page) => page.items) ?? []
  const total = songs.data?.pages[0]?.total ?? 0
  const orphans = orphansOf(jobs, put)
  const nothing = songs.isSuccess && total === 0 && !wanted && sending.length === 0 && orphans.length === 0
  if (nothing) return <Welcome />
  return (
    <div className="mx-auto max-w-6xl px-4 pb-24 sm:px-8">
      <div className="flex flex-wrap items-center gap-3 pt-4 pb-5">
        <h1 className="mr-auto text-3xl font-semibold tracking-tight">Your songs</h1>
        <Link to="/add" className={look({ kind: 'solid' })}>
          <Plus size={18} aria-hidden /> Add
        </Link>
      </div>
      <Tools
        search={search}
        onSearch={setSearch}
        sort={sort}
        onSort={(next) => {
          remember('sort', next)
          setSort(next)
        }}
      />
      <ul aria-label="On their way" className="empty:hidden">
        {sending.map((one) => (
          <UploadRow key={one.id} upload={one} />
        ))}
        {orphans.map((job) => (
          <Trouble key={job.id} job={job} />
        ))}
      </ul>
      {songs.isError && <p className="py-8 text-bad">{errorOf(songs.error).message}</p>}
      <ul aria-label="Songs" aria-busy={songs.isPending} className="divide-y divide-line border-t border-line">
        {items.map((song) => (
          <SongRow key={song.id} song={song} job={liveJobOf(jobs, song.id)} failed={failedJobOf(jobs, song.id, put)} />
        ))}
        {songs.isPending && Array.from({ length: 6 }, (_, at) => <li key={at} className="h-19" />)}
      </ul>
      <p className="tabular pt-4 text-sm text-faint">
        {songs.isSuccess && (wanted && total === 0 ? `Nothing is called “${wanted}”.` : `${count(total, 'song')}.`)}
        {songs.isSuccess && <span className="max-sm:hidden"> Drop more anywhere on this page.</span>}
      </p>
      {songs.hasNextPage && (
        <Button kind="outline" className="mt-4" onClick={() => void songs.fetchNextPage()} disabled={songs.isFetchingNextPage}>
          Show more
        </Button>
      )}
    </div>
  )
}

interface ToolsProps {
  search: string
  onSearch: (text: string) => void
  sort: Sort
  onSort: (sort: Sort) => void
}

function Tools({ search, onSearch, sort, onSort }: ToolsProps) {
  return (
    <div className="flex gap-3 pb-4">
      <div className="relative grow sm:max-w-80">
        <Search size={16} aria-hidden className="absolute top-3 left-3.5 text-faint" />
        <input
          type="search"
          aria-label="Search songs"
          placeholder="Title or artist"
          value={search}
          onChange={(event) => onSearch(event.target.value)}
          className="h-10 w-full rounded-full border border-line bg-surface pr-4 pl-10 hover:border-strong"
        />
      </div>
      <Select
        aria-label="Order"
        value={sort}
        options={SORTS}
        onChange={(next) => onSort(next as Sort)}
        className="h-10 rounded-full border border-line bg-surface px-4 text-soft hover:border-strong"
      />
    </div>
  )
}

/** What one sees who has no songs yet. */
function Welcome() {
  return (
    <div className="mx-auto flex max-w-3xl flex-col items-center px-4 pt-[14vh] pb-24 text-center">
      <svg viewBox="0 0 120 48" className="h-24" aria-hidden>
        {[10, 22, 34, 18, 40, 26, 44, 30, 36, 20, 28, 12].map((height, at) => (
          <path
            key={`${height} ${at}`}
            d={`M${8 + 9.4 * at} ${24 - height / 2}v${height}`}
            stroke={`var(--role-${['vocals', 'drums', 'bass', 'other'][Math.floor(at / 3)]})`}
            strokeWidth="4"
            strokeLinecap="round"
          />
        ))}
      </svg>
      <h1 className="mt-8 text-4xl font-semibold tracking-tight text-balance">Take a song apart</h1>
      <p className="mt-3 max-w-md text-lg text-soft text-balance">
        <span className="pointer-coarse:hidden">Drop a song anywhere on this page. </span>Voice, drums, bass and the rest come out, ready to mix and to take away.
      </p>
      <Link to="/add" className={`${look({ kind: 'solid' })} mt-8`}>
        <Plus size={18} aria-hidden /> Add music
      </Link>
      <p className="mt-6 text-sm text-faint">Nothing leaves your studio.</p>
    </div>
  )
}
