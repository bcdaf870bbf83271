"""A Kafka as a plant secures it: clients come by TLS, with a password or with a certificate of their own."""

import subprocess
from pathlib import Path

from cli.services.servers import Kafka
from cli.services.service import HOST, find_program, listens
from core.errors import StoreUnavailable

USER, PASSWORD = "flawline", "flawline-secret"


class SecureKafka(Kafka):
    """Has three doors: plain for the broker itself, SASL_SSL at the third port, SSL with certificates at the fourth."""

    name = "secure-kafka"
    ports = 4

    @property
    def sasl_url(self) -> str:
        """Where a password is asked for."""
        return f"kafka://{HOST}:{self.port + 2}"

    @property
    def tls_url(self) -> str:
        """Where a certificate is asked for."""
        return f"kafka://{HOST}:{self.port + 3}"

    @property
    def ca_file(self) -> Path:
        """The certificate of those who issued the broker's."""
        return self.folder / "ca.pem"

    def prepare(self) -> None:
        """Make the certificates once: of the authority, of the broker, and of one client."""
        if not self.ca_file.exists():
            issue_authority(self.folder, "ca")
            issue(self.folder, "broker", authority="ca")
            issue(self.folder, "client", authority="ca")
            both = (self.folder / "broker.key").read_text() + (self.folder / "broker.pem").read_text()
            (self.folder / "keystore.pem").write_text(both)
        super().prepare()

    def format_options(self) -> list[str]:
        """The user, whose salted password lies in Kafka's own log."""
        return [
            option
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
            for option in ("--add-scram", f"{mechanism}=[name={USER},password={PASSWORD}]")
        ]

    def answers(self) -> bool:
        """Whether all of its doors are open."""
        return super().answers() and listens(self.port + 2) and listens(self.port + 3)

    def properties(self) -> dict[str, object]:
        """Two more doors."""
        plain = super().properties()
        doors = {"SASL_SSL": f"SASL_SSL://{HOST}:{self.port + 2}", "SSL": f"SSL://{HOST}:{self.port + 3}"}
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        users = f'user_{USER}="{PASSWORD}"'
        login = f"org.apache.kafka.common.security.plain.PlainLoginModule required {users};"
        return plain | {
            "listeners": ",".join([str(plain["listeners"]), *doors.values()]),
            "advertised.listeners": ",".join([str(plain["advertised.listeners"]), *doors.values()]),
            "listener.security.protocol.map": f"{plain['listener.security.protocol.map']},SASL_SSL:SASL_SSL,SSL:SSL",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": self.folder / "keystore.pem",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": self.ca_file,
            "listener.name.ssl.ssl.client.auth": "required",
            "listener.name.sasl_ssl.sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512,PLAIN",
            "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config": scram,
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": scram,
            "listener.name.sasl_ssl.plain.sasl.jaas.config": login,
        }


def issue_authority(folder: Path, name: str) -> None:
    """A key and a certificate that others can be signed with: NAME.key, NAME.pem."""
    _openssl(
        folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", f"/CN={name}",
        "-keyout", f"{name}.key", "-out", f"{name}.pem",
    )  # fmt: skip


def issue(folder: Path, name: str, *, authority: str) -> None:
    """A key and a certificate for this machine's address, signed by an authority."""
    _openssl(
        folder, "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key",
        "-out", f"{name}.csr",
    )  # fmt: skip
    (folder / f"{name}.ext").write_text(f"subjectAltName=IP:{HOST},DNS:localhost\n")
    _openssl(
        folder, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key",
        "-CAcreateserial", "-days", "30", "-extfile", f"{name}.ext", "-out", f"{name}.pem",
    )  # fmt: skip
    (folder / f"{name}.key").chmod(0o600)


def _openssl(folder: Path, *words: str) -> None:
    command = [find_program("openssl", package="openssl"), *words]
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if made.returncode:
        raise StoreUnavailable(f"no certificate could be made: {made.stderr[-400:]}")
