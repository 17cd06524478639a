// The same quote and collateral through the crate dcap-qvl; bench/run.py starts it beside attestation_bench.
//
//   dcap_qvl_bench SECONDS QUOTE COLLATERAL UNIX-TIME
//
// Cold: from bytes, everything anew. Warm: with what the crate lets one keep, the verifier and the decoded collateral.
use dcap_qvl::verify::QuoteVerifier;
use dcap_qvl::QuoteCollateralV3;
use serde_json::Value;

fn cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn decode(json: &[u8]) -> QuoteCollateralV3 {
    let file: Value = serde_json::from_slice(json).unwrap();
    let text = |name: &str| file[name].as_str().unwrap().to_string();
    let bytes = |name: &str| from_hex(file[name].as_str().unwrap());
    QuoteCollateralV3 {
        pck_crl_issuer_chain: text("pck_crl_issuer_chain"),
        root_ca_crl: bytes("root_ca_crl"),
        pck_crl: bytes("pck_crl"),
        tcb_info_issuer_chain: text("tcb_info_issuer_chain"),
        tcb_info: text("tcb_info"),
        tcb_info_signature: bytes("tcb_info_signature"),
        qe_identity_issuer_chain: text("qe_identity_issuer_chain"),
        qe_identity: text("qe_identity"),
        qe_identity_signature: bytes("qe_identity_signature"),
        pck_certificate_chain: None,
    }
}

fn microseconds_each(seconds: f64, mut work: impl FnMut()) -> f64 {
    let (begin, mut runs) = (cpu_seconds(), 0);
    while cpu_seconds() - begin < seconds {
        work();
        runs += 1;
    }
    (cpu_seconds() - begin) / runs as f64 * 1e6
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let seconds: f64 = arguments[1].parse().unwrap();
    let quote = std::fs::read(&arguments[2]).unwrap();
    let json = std::fs::read(&arguments[3]).unwrap();
    let now: u64 = arguments[4].parse().unwrap();
    let cold = microseconds_each(seconds / 2.0, || {
        QuoteVerifier::new_prod().verify(&quote, &decode(&json), now).unwrap();
    });
    let (verifier, collateral) = (QuoteVerifier::new_prod(), decode(&json));
    let warm = microseconds_each(seconds / 2.0, || {
        verifier.verify(&quote, &collateral, now).unwrap();
    });
    println!("{{\"cold_us\":{cold:.2},\"warm_us\":{warm:.2}}}");
}
