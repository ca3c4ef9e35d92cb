// SPDX-License-Identifier: Apache-2.0
// The unmodified xen-api client: connects, fills its collection, follows events, writes and sees barriers, and
// streams a disk both ways. Usage: client.mjs URL USER PASSWORD [VDI]. Prints one JSON object.
import { createRequire } from 'node:module'
import { Readable } from 'node:stream'
import { pathToFileURL } from 'node:url'

const require = createRequire(pathToFileURL(process.env.XEN_API_DIR + '/'))
const { createClient } = require('xen-api')
const [url, user, password, vdi] = process.argv.slice(2)
const warnings = []
console.warn = (...args) => warnings.push(args.map(String).join(' '))

const check = (ok, what) => {
  if (!ok) {
    throw new Error(what)
  }
}

// The first moment at which test() holds, driven by the collection's own events.
const until = (xapi, test, what) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('timeout: ' + what)), 60e3)
    const look = () => {
      const value = test()
      if (value) {
        clearTimeout(timer)
        for (const name of ['add', 'update', 'remove']) {
          xapi.objects.removeListener(name, look)
        }
        resolve(value)
      }
    }
    for (const name of ['add', 'update', 'remove']) {
      xapi.objects.on(name, look)
    }
    look()
  })

const bytes = async stream => {
  const chunks = []
  for await (const chunk of stream) {
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

const disk = async xapi => {
  const data = Buffer.alloc(1 << 20, 7)
  const known = Readable.from([data])
  known.length = data.length
  const query = { vdi, format: 'raw' }
  check((await xapi.putResource(known, '/import_raw_vdi/', { query, task: true })) !== undefined, 'import task')
  const response = await xapi.getResource('/export_raw_vdi/', { query, task: false })
  const back = await bytes(response.body ?? response)
  check(back.subarray(0, data.length).equals(data), 'the disk came back changed')
  check(back.subarray(data.length).every(b => b === 0), 'the rest is not zero')
  data.fill(9)
  await xapi.putResource(Readable.from([data]), '/import_raw_vdi/', { query, task: true }) // unknown length
  const again = await xapi.getResource('/export_raw_vdi/', { query, task: false })
  check((await bytes(again.body ?? again)).subarray(0, data.length).equals(data), 'the cut stream is not there')
  await backup(xapi, data)
  return back.length
}

const get = async (xapi, path, query) => {
  const response = await xapi.getResource(path, { query, task: false })
  return bytes(response.body ?? response)
}

// As a backup goes: a full VHD, a difference, and both restored, the length of what is sent unknown.
const backup = async (xapi, data) => {
  const first = await xapi.call('VDI.snapshot', vdi)
  const full = await get(xapi, '/export_raw_vdi/', { vdi: first, format: 'vhd' })
  data.fill(11)
  const known = Readable.from([data])
  known.length = data.length
  await xapi.putResource(known, '/import_raw_vdi/', { query: { vdi, format: 'raw' }, task: true })
  const second = await xapi.call('VDI.snapshot', vdi)
  const delta = await get(xapi, '/export_raw_vdi/', { vdi: second, format: 'vhd', base: first })
  check(delta.length < full.length + 2048 && delta[63] === 4, 'no differencing VHD')
  const copy = await xapi.call('VDI.clone', first)
  for (const [image, of] of [[full, first], [delta, second]]) {
    await xapi.putResource(Readable.from([image]), '/import_raw_vdi/', { query: { vdi: copy, format: 'vhd' }, task: true })
    const want = await get(xapi, '/export_raw_vdi/', { vdi: of, format: 'raw' })
    check((await get(xapi, '/export_raw_vdi/', { vdi: copy, format: 'raw' })).equals(want), 'the restored disk differs')
  }
  for (const ref of [copy, second, first]) {
    await xapi.call('VDI.destroy', ref)
  }
}

// A whole VM, out and in again.
const whole = async (xapi, vm) => {
  const task = await xapi.call('task.create', 'export', '')
  const response = await xapi.getResource('/export/', { query: { ref: vm, use_compression: 'zstd' }, task })
  const image = await bytes(response.body ?? response)
  const result = await xapi.putResource(Readable.from([image]), '/import/', { query: {}, task: true })
  const made = /OpaqueRef:[0-9a-f-]+/.exec(String(result))
  check(made !== null, 'the import says no VM: ' + result)
  check((await xapi.call('VM.get_name_label', made[0])) === 'made by xen-api', 'another VM came back')
  await xapi.callAsync('VM.destroy', made[0])
}

const main = async () => {
  const xapi = createClient({ url, auth: { user, password }, allowUnauthorized: true, debounce: 20 })
  await xapi.connect()
  await xapi.objectsFetched
  const pool = xapi.pool
  const all = Object.values(xapi.objects.all)
  const out = { types: new Set(all.map(o => o.$type)).size, objects: all.length }
  check(xapi.objects.all[pool.$id].$ref === pool.$ref, 'the pool is not in the collection')

  // A write, seen by an event; the barrier passes after it.
  const template = Object.values(xapi.objects.all).find(
    o => o.$type === 'VM' && o.name_label === 'Other install media'
  )
  check(template !== undefined, 'no template')
  const ref = await xapi.callAsync('VM.clone', template.$ref, 'made by xen-api')
  const vm = await xapi.barrier(ref)
  check(vm.name_label === 'made by xen-api', 'the barrier returned an old object')
  await vm.set_name_description('seen')
  check((await xapi.barrier(ref)).name_description === 'seen', 'description not seen after the barrier')
  await vm.update_other_config('key', 'value')
  await until(xapi, () => xapi.getObjectByRef(ref).other_config.key === 'value', 'the map entry')
  await vm.update_other_config('key', null)
  await until(xapi, () => xapi.getObjectByRef(ref).other_config.key === undefined, 'the map entry gone')

  // An error keeps its code.
  const error = await xapi.call('VM.get_record', 'OpaqueRef:00000000-0000-4000-8000-000000000000').catch(e => e)
  check(error.code === 'HANDLE_INVALID' && error.params[0] === 'VM', 'error: ' + error)

  if (vdi !== undefined) {
    out.disk = await disk(xapi)
    await whole(xapi, ref)
  }
  await xapi.callAsync('VM.destroy', ref)
  await until(xapi, () => xapi.getObjectByRef(ref, undefined) === undefined, 'the destroyed VM')
  await xapi.disconnect()
  out.warnings = warnings
  console.log(JSON.stringify(out))
  process.exit(0)
}

main().catch(error => {
  console.error(error, warnings)
  process.exit(1)
})
