<?php
// Calls by curl: "pooled" is one connection for the calls of a request, because PHP keeps nothing from one request to the next.
function handle(string $path, int $k): CurlHandle
{
    $handle = curl_init();
    prepare($handle, $path, $k);
    return $handle;
}

function prepare(CurlHandle $handle, string $path, int $k): void
{
    $id = basename($path);
    curl_setopt_array($handle, [
        CURLOPT_URL => 'http://127.0.0.1:' . getenv('BACKEND') . "/c/$id/$k",
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_FORBID_REUSE => getenv('STYLE') === 'new',
    ]);
}

function sequential(string $path, int $count): array
{
    $answers = [];
    $handle = curl_init();
    for ($k = 0; $k < $count; $k++) {
        prepare($handle, $path, $k);
        $answers[] = curl_exec($handle);
    }
    return $answers;
}

function parallel(string $path, int $count): array
{
    $all = curl_multi_init();
    $handles = array_map(fn ($k) => handle($path, $k), range(0, $count - 1));
    foreach ($handles as $handle) {
        curl_multi_add_handle($all, $handle);
    }
    do {
        curl_multi_exec($all, $running);
        curl_multi_select($all);
    } while ($running > 0);
    return array_map('curl_multi_getcontent', $handles);
}

$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
$calls = getenv('CALLS');
if ($calls === 'delayed') {
    usleep(1000 * (1 + (int) basename($path) % 5));
}
$answers = $calls === 'parallel' ? parallel($path, 3) : sequential($path, in_array($calls, ['one', 'delayed']) ? 1 : 3);
header('Content-Type: text/plain');
echo implode(',', $answers);
