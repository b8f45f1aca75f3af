// A server of HTTP/2 over TLS: echoes what it is sent, with trailers as gRPC has them.
import fs from 'node:fs'
import http2 from 'node:http2'

const [file] = process.argv.slice(2)
const pem = fs.readFileSync(file)
const server = http2.createSecureServer({ key: pem, cert: pem, allowHTTP1: false })
server.on('stream', (stream, headers) => {
  stream.on('error', () => {})
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'x-path': headers[':path'] }))
  stream.pipe(stream)
})
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
