# What a program writes down of a request: one JSON line on standard output.
require "json"

def report(role, method, target, status, version, socket)
  socket = socket.to_io # that of a TLS object
  local, peer = [socket.local_address, socket.remote_address].map { |a| {address: a.ip_address, port: a.ip_port} }
  line = {pid: Process.pid, role:, method:, target:, status:, version:, local:, peer:}
  $stdout.syswrite(line.to_json + "\n") # in one call: lines of several threads do not mix
end

# The status and the size of the body that a query asks for, and whether in chunks.
def wanted(query)
  asked = (query || "").split("&").to_h { |pair| pair.split("=", 2) }
  [asked.fetch("status", "200").to_i, asked.fetch("bytes", "6").to_i, asked["framing"] == "chunked"]
end

def split_address(address)
  host, _, port = address.rpartition(":")
  [host.delete("[]"), port.to_i]
end
