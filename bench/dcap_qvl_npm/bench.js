// The same quote and collateral through npm's @phala/dcap-qvl; bench/run.py starts it beside attestation_bench.
//
//   node bench.js SECONDS QUOTE COLLATERAL UNIX-TIME
//
// Cold: from bytes, everything anew. Warm: with what the package lets one keep, the decoded collateral.
const fs = require('fs');
const { verify } = require('@phala/dcap-qvl');

const [seconds, quoteFile, collateralFile, now] = process.argv.slice(2);
const quote = fs.readFileSync(quoteFile);
const json = fs.readFileSync(collateralFile, 'utf8');

function decode() {
    const file = JSON.parse(json);
    for (const name of ['root_ca_crl', 'pck_crl', 'tcb_info_signature', 'qe_identity_signature']) {
        file[name] = Buffer.from(file[name], 'hex');
    }
    return file;
}

function cpuSeconds() {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
}

function microsecondsEach(budget, work) {
    for (let i = 0; i < 5; ++i) work();
    const begin = cpuSeconds();
    let runs = 0;
    while (cpuSeconds() - begin < budget) {
        work();
        ++runs;
    }
    return (cpuSeconds() - begin) / runs * 1e6;
}

const cold = microsecondsEach(seconds / 2, () => verify(quote, decode(), Number(now)));
const collateral = decode();
const warm = microsecondsEach(seconds / 2, () => verify(quote, collateral, Number(now)));
console.log(JSON.stringify({ cold_us: cold, warm_us: warm }));
