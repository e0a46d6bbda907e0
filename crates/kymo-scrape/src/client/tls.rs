//! TLS by rustls with ring, behind the feature `tls`. Files are read at each new connection, so renewed ones count.

use tokio::net::TcpStream;

use super::error::RequestError;
use crate::config::TlsConfig;
use crate::url::Url;

/// Without the feature there is no TLS.
#[cfg(not(feature = "tls"))]
pub(super) async fn wrap(_: TcpStream, _: &TlsConfig, url: &Url) -> Result<TcpStream, RequestError> {
    Err(RequestError::Tls(format!("{url} needs the feature `tls`, which is off in this build")))
}

#[cfg(feature = "tls")]
pub(super) use with_rustls::wrap;

#[cfg(feature = "tls")]
mod with_rustls {
    use std::path::Path;
    use std::sync::{Arc, OnceLock};

    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
    use rustls::{
        ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion,
    };
    use tokio_rustls::TlsConnector;
    use tokio_rustls::client::TlsStream;

    use super::{RequestError, TcpStream, TlsConfig, Url};
    use crate::config::TlsVersion;

    /// Sets up TLS on a connection.
    pub(crate) async fn wrap(
        stream: TcpStream,
        tls: &TlsConfig,
        url: &Url,
    ) -> Result<TlsStream<TcpStream>, RequestError> {
        let tls_owned = tls.clone();
        let config = tokio::task::spawn_blocking(move || client_config(&tls_owned))
            .await
            .map_err(|e| RequestError::Tls(e.to_string()))??;
        let name = if tls.server_name.is_empty() { url.host() } else { &tls.server_name };
        let name = ServerName::try_from(name.to_owned()).map_err(|e| RequestError::Tls(e.to_string()))?;
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect(name, stream).await.map_err(|e| RequestError::Tls(e.to_string()))
    }

    fn client_config(tls: &TlsConfig) -> Result<ClientConfig, RequestError> {
        let wrong = |e: rustls::Error| RequestError::Tls(e.to_string());
        let provider = Arc::new(ring::default_provider());
        let versions = versions(tls);
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&versions)
            .map_err(wrong)?;
        let builder = if tls.insecure_skip_verify {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        } else {
            builder.with_root_certificates(roots(tls)?)
        };
        let cert = pem(tls.cert.as_deref(), tls.cert_file.as_deref())?;
        let key = pem(tls.key.as_ref().map(|key| key.expose()), tls.key_file.as_deref())?;
        match (cert, key) {
            (Some(cert), Some(key)) => {
                let chain = certificates(&cert)?;
                let key = PrivateKeyDer::from_pem_slice(&key)
                    .map_err(|e| RequestError::Tls(format!("client key: {e}")))?;
                builder.with_client_auth_cert(chain, key).map_err(wrong)
            }
            _ => Ok(builder.with_no_client_auth()),
        }
    }

    fn versions(tls: &TlsConfig) -> Vec<&'static SupportedProtocolVersion> {
        let min = tls.min_version.unwrap_or(TlsVersion::Tls12);
        let max = tls.max_version.unwrap_or(TlsVersion::Tls13);
        let all =
            [(TlsVersion::Tls12, &rustls::version::TLS12), (TlsVersion::Tls13, &rustls::version::TLS13)];
        all.into_iter().filter(|(version, _)| (min..=max).contains(version)).map(|(_, v)| v).collect()
    }

    /// The authorities that the job names, or else those of the system.
    fn roots(tls: &TlsConfig) -> Result<Arc<RootCertStore>, RequestError> {
        static SYSTEM: OnceLock<Arc<RootCertStore>> = OnceLock::new();
        let Some(own) = pem(tls.ca.as_deref(), tls.ca_file.as_deref())? else {
            let load = || {
                let mut store = RootCertStore::empty();
                store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                Arc::new(store)
            };
            return Ok(SYSTEM.get_or_init(load).clone());
        };
        let mut store = RootCertStore::empty();
        for certificate in certificates(&own)? {
            store.add(certificate).map_err(|e| RequestError::Tls(e.to_string()))?;
        }
        Ok(Arc::new(store))
    }

    fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, RequestError> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        match found {
            Ok(found) if found.is_empty() => {
                Err(RequestError::Tls("expected a certificate, found none".to_owned()))
            }
            Ok(found) => Ok(found),
            Err(e) => Err(RequestError::Tls(format!("certificate: {e}"))),
        }
    }

    fn pem(text: Option<&str>, file: Option<&Path>) -> Result<Option<Vec<u8>>, RequestError> {
        match (text, file) {
            (Some(text), _) => Ok(Some(text.as_bytes().to_vec())),
            (None, Some(path)) => match std::fs::read(path) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(e) => Err(RequestError::Tls(format!("unable to read {}: {e}", path.display()))),
            },
            (None, None) => Ok(None),
        }
    }

    /// `insecure_skip_verify`: any certificate will do, signatures of the handshake are still checked.
    #[derive(Debug)]
    struct AnyCertificate(Arc<CryptoProvider>);

    impl ServerCertVerifier for AnyCertificate {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, rustls::Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            verify_tls12_signature(message, cert, signature, &self.0.signature_verification_algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            verify_tls13_signature(message, cert, signature, &self.0.signature_verification_algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.signature_verification_algorithms.supported_schemes()
        }
    }
}
