# A web client on Net::HTTP: ruby client.rb 127.0.0.1:8080 4 < plan, over 4 connections that are kept alive.
#
# The plan has a request a line: its method, target, size of the body, how that is framed, and the traceparent, or "-".
require "net/http"
require "openssl"
require "stringio"
require_relative "account"

Thread.abort_on_exception = true

Ends = Struct.new(:local_address, :remote_address) do
  def to_io = self
end

def ask(connection, line)
  method, target, size, framing, traceparent = line.split
  request = Net::HTTPGenericRequest.new(method, size.to_i > 0, method != "HEAD", target, {"Accept-Encoding" => "identity"})
  request["traceparent"] = traceparent unless traceparent == "-"
  if size.to_i > 0
    request["Content-Type"] = "application/octet-stream"
    if framing == "chunked"
      request["Transfer-Encoding"] = "chunked"
      request.body_stream = StringIO.new("0" * size.to_i)
    else
      request.body = "0" * size.to_i
    end
  end
  socket = connection.instance_variable_get(:@socket).io
  ends = Ends.new(socket.to_io.local_address, socket.to_io.remote_address) # before the response, which may close the connection
  response = connection.request(request)
  report("client", method, target, response.code.to_i, response.http_version, ends)
end

host, port = split_address(ARGV[0])
plan = SizedQueue.new(100)
threads = Array.new(ARGV[1].to_i) do
  Thread.new do
    connection = Net::HTTP.new(host, port, nil)
    connection.keep_alive_timeout = 60
    connection.max_retries = 0
    connection.use_ssl = ENV.key?("TLS_CERTIFICATE")
    connection.verify_mode = OpenSSL::SSL::VERIFY_NONE
    connection.start do
      while (line = plan.pop)
        ask(connection, line)
      end
    end
  end
end
$stdin.each_line { |line| plan << line }
plan.close
threads.each(&:join)
