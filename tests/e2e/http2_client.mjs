// In the sandbox: many streams at once on one connection, each with a body; prints what came back.
import http2 from 'node:http2'

const [url, count, size] = process.argv.slice(2)
const session = http2.connect(url)
session.on('error', error => { console.log(JSON.stringify({ error: error.message })); process.exit(1) })
const one = number => new Promise((resolve, reject) => {
  const stream = session.request({ ':method': 'POST', ':path': `/call/${number}`, te: 'trailers' })
  let status, trailers, length = 0
  stream.on('response', headers => { status = headers[':status'] })
  stream.on('trailers', headers => { trailers = headers })
  stream.on('data', data => { length += data.length })
  stream.on('error', reject)
  stream.on('end', () => resolve({ status, length, grpc: trailers?.['grpc-status'], path: trailers?.['x-path'] }))
  stream.end(Buffer.alloc(Number(size), number))
})
const answers = await Promise.all([...Array(Number(count)).keys()].map(one))
console.log(JSON.stringify(answers))
session.close()
