/** What is asked of the studio, and kept fresh. */

import { QueryClient, keepPreviousData, queryOptions, useInfiniteQuery, useMutation, useQueries, useQuery, useQueryClient, type UseQueryResult } from '@tanstack/react-query'
import { waysOf, type Way } from './ways'
import { readPeaks, together, type Peaks } from '../lib/peaks'
import { readChart } from '../lib/chart'
import { API, ApiError, answered, request, send, type FleetState, type Job, type JobPage, type Limits, type ModelList, type SongDetail, type SongPage, type StrategyList } from './client'

const PAGE = 60
const FOREVER = Infinity
const NONE: readonly Way[] = []

export const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      retry: (failures, error) => (error instanceof ApiError && error.status >= 400 && error.status < 500 ? false : failures < 4),
      retryDelay: (attempt) => Math.min(500 * 2 ** attempt, 4_000),
    },
  },
})

export type Sort = '-created_at' | 'title' | 'artist' | '-duration' | '-used_at' | 'bpm' | 'key'

export function useSongs(search: string, sort: Sort) {
  return useInfiniteQuery({
    queryKey: ['songs', search, sort],
    queryFn: ({ pageParam, signal }) => {
      const query = new URLSearchParams({ sort, limit: String(PAGE), offset: String(pageParam), ...(search && { search }) })
      return request<SongPage>(`${API}/songs?${query}`, { signal })
    },
    initialPageParam: 0,
    getNextPageParam: (last, pages) => {
      const seen = pages.reduce((sum, page) => sum + page.items.length, 0)
      return last.items.length > 0 && seen < last.total ? seen : undefined
    },
    placeholderData: keepPreviousData,
  })
}

export function useSong(id: string) {
  return useQuery({ queryKey: ['song', id], queryFn: ({ signal }) => request<SongDetail>(`${API}/songs/${id}`, { signal }) })
}

/** The newest jobs of all songs; pushed changes come in by `live`. */
export function useJobs() {
  return useQuery({
    queryKey: ['jobs'],
    queryFn: async ({ signal }) => (await request<JobPage>(`${API}/jobs?limit=100`, { signal })).items,
  })
}

/** What goes on in the whole studio, looked at every two seconds. */
export function useFleet() {
  return useQuery({ queryKey: ['fleet'], queryFn: ({ signal }) => request<FleetState>(`${API}/fleet`, { signal }), refetchInterval: 2_000 })
}

/** The largest and longest files that the studio takes. */
export function limits(): Promise<Limits> {
  return client.fetchQuery({ queryKey: ['limits'], queryFn: ({ signal }) => request<Limits>(`${API}/limits`, { signal }), staleTime: 60_000 })
}

/** The ways of taking a song apart that the studio offers; none while they are not known. */
export function useWays(): readonly Way[] {
  const { data } = useQuery({
    queryKey: ['ways'],
    queryFn: async ({ signal }) => {
      const [strategies, models] = await Promise.all([
        request<StrategyList>(`${API}/strategies`, { signal }),
        request<ModelList>(`${API}/models`, { signal }),
      ])
      return waysOf(strategies.items, models)
    },
    staleTime: 60_000,
  })
  return data ?? NONE
}

/** Waveform overviews by their addresses, which never change what they hold. */
export function peaksQuery(url: string) {
  return queryOptions({
    queryKey: ['peaks', url],
    queryFn: async ({ signal }) => readPeaks(await (await answered(url, { signal })).arrayBuffer()),
    staleTime: FOREVER,
  })
}

/** An overview; while another one is fetched in its place, the one before. */
export function usePeaks(url: string) {
  return useQuery({ ...peaksQuery(url), placeholderData: keepPreviousData })
}

/** The overview of several together, once all of them are here. */
export function usePeaksTogether(urls: readonly string[]): Peaks | undefined {
  return useQueries({ queries: urls.map(peaksQuery), combine: blended })
}

function blended(results: readonly UseQueryResult<Peaks>[]): Peaks | undefined {
  const all = results.flatMap(({ data }) => data ?? [])
  return all.length === results.length ? together(all) : undefined
}

export function useChart(url: string | undefined) {
  return useQuery({
    queryKey: ['chart', url],
    queryFn: async ({ signal }) => readChart(await request(url ?? '', { signal })),
    enabled: url !== undefined,
    staleTime: FOREVER,
    placeholderData: keepPreviousData, // the desk stays as it is until a finer chart is there
  })
}

/** What the page reads of a receipt; imported stems have no more than some of it. */
export interface Receipt {
  readonly model: { readonly name: string; readonly draft: boolean }
  readonly nodes?: readonly { readonly model: string }[] // of a strategy, whose name stands in `model`
  readonly device?: string
  readonly elapsed?: number
  readonly gain_db: number
  readonly residual_db: number | null
  readonly residual_added_to?: string | null
  readonly warnings: readonly { readonly code: string; readonly message: string }[]
}

export function useReceipt(song: string, separation: string | undefined) {
  return useQuery({
    queryKey: ['receipt', separation],
    queryFn: ({ signal }) => request<Receipt>(`${API}/songs/${song}/receipt?separation=${separation}`, { signal }),
    enabled: separation !== undefined,
    staleTime: FOREVER,
  })
}

/** Puts a job's new state where it is shown. */
export function tellJob(job: Job): void {
  const known = client.getQueryData<Job[]>(['jobs'])
  const before = known?.find((one) => one.id === job.id)
  if (known) client.setQueryData<Job[]>(['jobs'], before ? known.map((one) => (one.id === job.id ? job : one)) : [job, ...known])
  const same = before && before.status === job.status && before.song_id === job.song_id && Boolean(before.preview) === Boolean(job.preview)
  if (!same) {
    void client.invalidateQueries({ queryKey: ['songs'] })
    void client.invalidateQueries({ queryKey: ['song', job.song_id] })
  }
}

/** Asks anew for all that may have changed while nobody told us. */
export function refresh(): void {
  for (const key of ['jobs', 'songs', 'song']) void client.invalidateQueries({ queryKey: [key] })
}

export function useJobActions() {
  const cancel = useMutation({ mutationFn: (id: string) => send<Job>('DELETE', `${API}/jobs/${id}`), onSuccess: tellJob })
  const retry = useMutation({ mutationFn: (id: string) => send<Job>('POST', `${API}/jobs/${id}/retry`), onSuccess: tellJob })
  const create = useMutation({ mutationFn: (body: object) => send<Job>('POST', `${API}/jobs`, body), onSuccess: tellJob })
  return { cancel, retry, create }
}

export function useSongActions(id: string) {
  const queries = useQueryClient()
  const rename = useMutation({
    mutationFn: (change: { title: string; artist: string }) => send<SongDetail>('PATCH', `${API}/songs/${id}`, change),
    onSuccess: (song) => {
      queries.setQueryData(['song', id], song)
      refresh()
    },
  })
  const remove = useMutation({
    mutationFn: () => send<void>('DELETE', `${API}/songs/${id}`),
    onSuccess: () => {
      queries.removeQueries({ queryKey: ['song', id] })
      refresh()
    },
  })
  return { rename, remove }
}
