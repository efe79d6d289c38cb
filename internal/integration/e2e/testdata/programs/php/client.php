<?php
// A web client: php client.php 127.0.0.1:8080 < plan, with a connection for each request.
//
// The plan has a request a line: its method, target, size of the body, how that is framed, and the traceparent, or "-".
// PHP's streams do not say what their local address is: the account lacks the addresses.
while ($line = fgets(STDIN)) {
	[$method, $target, $size, , $traceparent] = explode(' ', trim($line));
	$headers = $traceparent == '-' ? [] : ["traceparent: $traceparent"];
	$headers[] = 'Connection: close';
	$options = ['method' => $method, 'protocol_version' => '1.1', 'ignore_errors' => true, 'follow_location' => 0, 'timeout' => 60];
	if ($size > 0) {
		$headers[] = 'Content-Type: application/octet-stream';
		$options['content'] = str_repeat('0', (int)$size);
	}
	$options['header'] = $headers;
	$scheme = getenv('TLS_CERTIFICATE') ? 'https' : 'http';
	$contexts = ['http' => $options, 'ssl' => ['verify_peer' => false, 'verify_peer_name' => false]];
	$body = file_get_contents("$scheme://$argv[1]$target", false, stream_context_create($contexts));
	if ($body === false) {
		exit(1);
	}
	[$version, $status] = explode(' ', $http_response_header[0]);
	$account = [
		'pid' => getmypid(), 'role' => 'client', 'method' => $method, 'target' => $target, 'status' => (int)$status,
		'version' => substr($version, strlen('HTTP/')),
	];
	echo json_encode($account, JSON_UNESCAPED_SLASHES), "\n";
}
